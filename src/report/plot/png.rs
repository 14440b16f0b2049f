//! SVG to PNG with the one typeface that comes along, so that a machine without fonts draws the same.
use std::sync::{Arc, LazyLock};

use anyhow::Context;
use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree, fontdb::Database},
};
use skrifa::{FontRef, MetadataProvider, instance::Size, prelude::LocationRef};

/// Ubuntu Light: the letters of Europe.
static TYPEFACE: &[u8] = epaint_default_fonts::UBUNTU_LIGHT;
const FAMILY: &str = "Ubuntu";

/// How much wider than this typeface another may be in which a browser shows the text.
const WIDEST: f64 = 1.1;

/// Pixels of the picture for one of the drawing: sharp on a dense screen and in print.
const DENSITY: f32 = 2.0;

static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_font_data(TYPEFACE.to_vec());
    fonts.set_sans_serif_family(FAMILY);
    Arc::new(fonts)
});

/// A drawing as a PNG file.
///
/// # Errors
/// When the text is no SVG, or as large as no picture can be.
pub(in crate::report) fn png(svg: &str) -> anyhow::Result<Vec<u8>> {
    let options = Options { fontdb: Arc::clone(&FONTS), ..Options::default() };
    let tree = Tree::from_str(svg, &options).context("a drawing is not SVG")?;
    let size = tree.size().to_int_size().scale_by(DENSITY).context("a drawing has no size")?;
    let mut picture = Pixmap::new(size.width(), size.height()).context("a drawing is too large")?;
    resvg::render(&tree, Transform::from_scale(DENSITY, DENSITY), &mut picture.as_mut());
    picture.encode_png().context("cannot encode a picture")
}

/// The width that a text may take, in pixels.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let Ok(font) = FontRef::new(TYPEFACE) else { return 0.0 };
    let metrics = font.glyph_metrics(Size::new(size as f32), LocationRef::default());
    let letters = font.charmap();
    let advance = |letter: char| {
        let known = letters.map(letter).and_then(|glyph| metrics.advance_width(glyph));
        // Letters of other scripts come from another typeface, and few are wider than this.
        known.map_or(size, |width| WIDEST * f64::from(width))
    };
    text.chars().map(advance).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    // from fontTools.ttLib import TTFont
    // f = TTFont("Ubuntu-Light.ttf"); c, h = f.getBestCmap(), f["hmtx"]
    // sum(h[c[ord(x)]][0] for x in "Win rate (%)") / f["head"].unitsPerEm * 15  # 81.78
    #[test]
    fn widths_are_those_of_the_typeface() {
        assert!((width("Win rate (%)", 15.0) - 1.1 * 81.78).abs() < 0.01);
        assert_eq!(width("", 15.0), 0.0);
        assert_eq!(width("鯨", 15.0), 15.0);
    }

    #[test]
    fn text_is_drawn_without_any_font_of_the_system() {
        let svg = |text: &str| {
            format!(
                "<svg width=\"80\" height=\"20\" xmlns=\"http://www.w3.org/2000/svg\"><text x=\"2\" y=\"15\" font-family=\"system-ui, sans-serif\" font-size=\"15\">{text}</text></svg>"
            )
        };
        let (empty, written) = (png(&svg("")).unwrap(), png(&svg("text")).unwrap());
        assert!(written.starts_with(b"\x89PNG"));
        assert_ne!(empty, written);
        assert_eq!(written, png(&svg("text")).unwrap());
    }
}
