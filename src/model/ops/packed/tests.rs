use rayon::ThreadPoolBuilder;

use super::{round::GROUP, *};

const FORMATS: [Format; 3] = [Format::Bf16, Format::Int8, Format::Int7];

/// Values within ±0.5 that look random.
fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..n).map(|_| next()).collect()
}

fn product(packed: &PackedMatrix, x: &[f32]) -> Vec<f32> {
    let mut y = vec![f32::NAN; x.len() / packed.inputs * packed.outputs];
    packed.linear(x, &mut y, Write::Replace);
    y
}

/// Each kernel that can run here: the processor's own, if it has any, and the portable.
fn all(weight: &[f32], inputs: usize, format: Format) -> Vec<PackedMatrix> {
    let kernels = x86::kernels(format).chain([Kernel::portable(format)]);
    kernels.map(|kernel| PackedMatrix::with_kernel(weight, inputs, format, kernel)).collect()
}

fn bits(y: &[f32]) -> Vec<u32> {
    y.iter().map(|y| y.to_bits()).collect()
}

/// The exact result of a row, and how far a product in `format` may be from it.
///
/// bf16 keeps 8 bits, so a factor is off by at most 2⁻⁸ of itself, and a product by 2⁻⁷ + 2⁻¹⁶; an
/// integer is off by half a step, 1/254 of its group's largest, or 1/102 and 1/160. Each addition in
/// `f32` adds 2⁻²⁴ of the sum so far.
fn exact(format: Format, weight: &[f32], x: &[f32]) -> (f64, f64) {
    let (mut sum, mut magnitude, mut rounding) = (0.0, 0.0, 0.0);
    for (weight, x) in weight.chunks(GROUP).zip(x.chunks(GROUP)) {
        let (of_weight, of_x) =
            if format == Format::Int7 { (101.9, 159.9) } else { (253.9, 253.9) };
        let largest = |values: &[f32]| {
            f64::from(values.iter().fold(0.0_f32, |most, value| most.max(value.abs())))
        };
        let (weight_step, x_step) = (largest(weight) / of_weight, largest(x) / of_x);
        for (&weight, &x) in weight.iter().zip(x) {
            let (weight, x) = (f64::from(weight), f64::from(x));
            sum += weight * x;
            magnitude += (weight * x).abs();
            rounding += match format {
                Format::Bf16 => (weight * x).abs() * (1.0 / 128.0 + 1.0 / 65_536.0),
                Format::Int8 | Format::Int7 => {
                    weight.abs() * x_step + x.abs() * weight_step + weight_step * x_step
                }
            };
        }
    }
    let additions = weight.len() as f64 * 2.0_f64.powi(-24) * 1.1;
    // Results below the normal numbers may be flushed to zero.
    (sum, rounding + additions * (magnitude + rounding) + f64::from(f32::MIN_POSITIVE))
}

fn check_exact(weight: &[f32], x: &[f32], inputs: usize) {
    for format in FORMATS {
        for packed in all(weight, inputs, format) {
            let y = product(&packed, x);
            for (x, y) in x.chunks(inputs).zip(y.chunks(packed.outputs)) {
                for (weight, &y) in weight.chunks(inputs).zip(y) {
                    let (expected, bound) = exact(format, weight, x);
                    let error = (f64::from(y) - expected).abs();
                    assert!(error <= bound, "{format:?}: {y}, not {expected} ± {bound}");
                }
            }
        }
    }
}

#[test]
fn products_are_as_near_as_their_rounding_allows() {
    let shapes = [(1, 1, 1), (3, 6, 3), (5, 24, 12), (2, 63, 33), (13, 65, 31), (7, 577, 100)];
    for (tokens, inputs, outputs) in shapes.into_iter().chain([(26, 576, 192), (3, 1536, 70)]) {
        check_exact(&values(outputs * inputs, 1), &values(tokens * inputs, 2), inputs);
    }
}

#[test]
fn zeros_outliers_and_tiny_values_keep_the_bound() {
    let (tokens, inputs, outputs) = (5, 200, 40);
    let (mut weight, mut x) = (values(outputs * inputs, 3), values(tokens * inputs, 4));
    x[..inputs].fill(0.0);
    weight[..GROUP].fill(0.0);
    x[inputs..inputs + GROUP].fill(0.0);
    x[2 * inputs + 70] = 30_000.0;
    weight[3 * inputs + 70] = -5_000.0;
    x[3 * inputs..4 * inputs].iter_mut().for_each(|x| *x *= 1e-30);
    weight[4 * inputs..5 * inputs].iter_mut().for_each(|weight| *weight *= 1e30);
    check_exact(&weight, &x, inputs);
    for format in FORMATS {
        for packed in all(&weight, inputs, format) {
            assert!(product(&packed, &x)[..outputs].iter().all(|&y| y == 0.0));
        }
    }
}

#[test]
fn a_value_that_is_no_number_spoils_its_row_and_no_other() {
    let (inputs, outputs) = (130, 35);
    let weight = values(outputs * inputs, 5);
    for spoiled in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = values(3 * inputs, 6);
        x[inputs + 129] = spoiled;
        for format in FORMATS {
            for packed in all(&weight, inputs, format) {
                for (row, y) in product(&packed, &x).chunks(outputs).enumerate() {
                    assert!(y.iter().all(|y| y.is_finite() == (row != 1)), "{format:?} {row}");
                }
            }
        }
    }
}

#[test]
fn a_row_depends_neither_on_the_other_rows_nor_on_the_threads() {
    let pools = [1, 2, 3].map(|n| ThreadPoolBuilder::new().num_threads(n).build().expect("a pool"));
    // Enough rows of the small ones that jobs take rows, not columns.
    let shapes = [(576, 100, 40), (200, 577, 30), (1536, 64, 30), (24, 12, 1000), (6, 40, 1000)];
    for (inputs, outputs, rows) in shapes {
        let (weight, x) = (values(outputs * inputs, 7), values(rows * inputs, 8));
        for format in FORMATS {
            let packed = PackedMatrix::new(&weight, inputs, format);
            let all = bits(&product(&packed, &x));
            let few = (1..=20).chain([31, 63, 64, 65, 250, 383, 384, 511, 768, 999]);
            for tokens in few.filter(|tokens| *tokens < rows) {
                for pool in &pools {
                    let y = pool.install(|| product(&packed, &x[..tokens * inputs]));
                    let same = bits(&y) == all[..tokens * outputs];
                    assert!(same, "{format:?}: {tokens} rows of {inputs} by {outputs}");
                }
            }
            let last = product(&packed, &x[(rows - 1) * inputs..]);
            assert_eq!(bits(&last), all[(rows - 1) * outputs..]);
        }
    }
}

#[test]
fn the_portable_integers_have_the_same_bits() {
    for (tokens, inputs, outputs) in [(1, 1, 1), (7, 65, 33), (14, 576, 64), (3, 1536, 40)] {
        let mut x = values(tokens * inputs, 9);
        x[inputs / 2] = 1e6;
        for format in [Format::Int8, Format::Int7] {
            let kernels = all(&values(outputs * inputs, 10), inputs, format);
            let results: Vec<_> = kernels.iter().map(|packed| bits(&product(packed, &x))).collect();
            assert!(results.iter().all(|result| *result == results[0]), "{format:?}");
        }
    }
}

#[test]
fn sums_of_the_largest_integers_are_exact() {
    let (inputs, outputs) = (128, 40);
    for (weight, x) in [(2.0, 3.0), (-2.0, 3.0), (2.0, -3.0), (-2.0, -3.0)] {
        for format in [Format::Int8, Format::Int7] {
            for packed in all(&vec![weight; outputs * inputs], inputs, format) {
                for y in product(&packed, &vec![x; 5 * inputs]) {
                    let expected = weight * x * inputs as f32;
                    assert!((y / expected - 1.0).abs() < 1e-6, "{format:?}: {y}, not {expected}");
                }
            }
        }
    }
}

#[test]
fn the_portable_bf16_differs_by_the_rounding_of_sums_alone() {
    let (tokens, inputs, outputs) = (14, 577, 64);
    let (weight, x) = (values(outputs * inputs, 11), values(tokens * inputs, 12));
    let results: Vec<_> =
        all(&weight, inputs, Format::Bf16).iter().map(|packed| product(packed, &x)).collect();
    for result in &results {
        for (index, (&y, &other)) in result.iter().zip(&results[0]).enumerate() {
            let row = &x[index / outputs * inputs..][..inputs];
            let weights = &weight[index % outputs * inputs..][..inputs];
            let magnitude: f32 =
                row.iter().zip(weights).map(|(x, weight)| (x * weight).abs()).sum();
            let bound = inputs as f32 * 2.0_f32.powi(-23) * magnitude;
            assert!((y - other).abs() <= bound, "{y}, not {other} ± {bound}");
        }
    }
}

#[test]
fn without_instructions_for_bf16_its_products_have_the_portable_bits() {
    for (tokens, inputs, outputs) in [(1, 1, 1), (2, 65, 33), (7, 577, 100), (3, 1536, 9)] {
        let (weight, x) = (values(outputs * inputs, 21), values(tokens * inputs, 22));
        let kernels = x86::kernels(Format::Bf16).filter(|kernel| kernel.speed < 1.0);
        for kernel in kernels {
            let with = |kernel| PackedMatrix::with_kernel(&weight, inputs, Format::Bf16, kernel);
            let portable = product(&with(Kernel::portable(Format::Bf16)), &x);
            assert_eq!(bits(&product(&with(kernel), &x)), bits(&portable));
        }
    }
}

#[test]
fn a_product_can_be_added_and_may_have_no_rows() {
    let (inputs, outputs) = (100, 50);
    let (weight, x) = (values(outputs * inputs, 13), values(9 * inputs, 14));
    for format in FORMATS {
        for packed in all(&weight, inputs, format) {
            let (mut y, alone) = (values(9 * outputs, 15), product(&packed, &x));
            let expected: Vec<f32> = y.iter().zip(&alone).map(|(y, alone)| y + alone).collect();
            packed.linear(&x, &mut y, Write::Add);
            assert_eq!(bits(&y), bits(&expected));
            assert!(product(&packed, &[]).is_empty());
        }
    }
}

fn transpose(matrix: &[f32], columns: usize) -> Vec<f32> {
    let rows = matrix.len() / columns;
    (0..matrix.len()).map(|at| matrix[at % rows * columns + at / rows]).collect()
}

#[test]
fn products_of_the_backward_pass_are_those_of_transposes() {
    for (tokens, inputs, outputs) in [(1, 1, 1), (7, 33, 10), (40, 576, 97), (33, 70, 1000)] {
        let (weight, x) = (values(outputs * inputs, 17), values(tokens * inputs, 18));
        let dy = values(tokens * outputs, 19);
        let mut dx = vec![f32::NAN; tokens * inputs];
        PackedMatrix::transposed(&weight, inputs).linear(&dy, &mut dx, Write::Replace);
        let columns = transpose(&weight, inputs);
        let expected = product(&PackedMatrix::new(&columns, outputs, Format::Bf16), &dy);
        assert_eq!(bits(&dx), bits(&expected));

        let mut dweight = values(outputs * inputs, 20);
        let mut expected = dweight.clone();
        weight_gradient(&dy, &x, &mut dweight, inputs);
        let rows = transpose(&dy, outputs);
        PackedMatrix::new(&transpose(&x, inputs), tokens, Format::Bf16).linear(
            &rows,
            &mut expected,
            Write::Add,
        );
        assert_eq!(bits(&dweight), bits(&expected));
    }
}

#[test]
fn several_products_at_once_are_those_one_by_one() {
    for format in FORMATS {
        for (inputs, outputs) in [(576, [576, 192, 192]), (100, [33, 1, 64]), (7, [5, 70, 31])] {
            let matrices: Vec<PackedMatrix> = outputs
                .iter()
                .map(|outputs| PackedMatrix::new(&values(inputs * outputs, 3), inputs, format))
                .collect();
            for rows in [1, 5, 64, 900] {
                let x = values(rows * inputs, 9);
                let mut y = outputs.map(|outputs| vec![0.5; rows * outputs]);
                let [a, b, c] = &mut y;
                let all = [&matrices[0], &matrices[1], &matrices[2]];
                linear_all(all, &x, [a, b, c], Write::Replace);
                for (matrix, y) in matrices.iter().zip(&y) {
                    assert_eq!(bits(&product(matrix, &x)), bits(y), "{format:?} {inputs} {rows}");
                }
            }
        }
    }
}
