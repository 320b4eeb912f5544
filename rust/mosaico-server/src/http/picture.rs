//! Raw images as PNG, and pictures at a smaller size.

use std::io::Cursor;

use jpeg_encoder::ColorType as JpegColor;
use png::{BitDepth, ColorType, Decoder, Encoder, Limits, Transformations};
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// Width and height of a picture.
const MAX_SIDE: u32 = 16_384;

/// Memory of a decoded picture.
const MAX_BYTES: usize = 256 << 20;

const JPEG_QUALITY: u8 = 80;

/// What a client gets.
pub(super) type Encoded = (&'static str, Vec<u8>);

/// Why there is no picture, for people.
pub(super) type Problem = String;

/// Pixels of 8 bits per channel: grey (1), RGB (3) or RGBA (4).
#[derive(Debug, Clone, PartialEq)]
struct Picture {
    width: u32,
    height: u32,
    channels: usize,
    data: Vec<u8>,
}

/// The pixels of an image as they were recorded.
#[derive(Debug)]
pub(super) struct Raw {
    pub data: Vec<u8>,
    pub width: u32,
    pub height: u32,
    /// Bytes from one row to the next.
    pub stride: usize,
    pub encoding: String,
    pub is_bigendian: bool,
}

/// Type of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Depth {
    U8,
    U16,
    S16,
    S32,
    F32,
    F64,
}

impl Depth {
    fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 | Self::S16 => 2,
            Self::S32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    fn read(self, bytes: &[u8], is_bigendian: bool) -> f64 {
        let mut ordered = [0; 8];
        let ordered = &mut ordered[..bytes.len()];
        ordered.copy_from_slice(bytes);
        if is_bigendian {
            ordered.reverse();
        }
        match (self, &*ordered) {
            (Self::U8, [a]) => f64::from(*a),
            (Self::U16, [a, b]) => f64::from(u16::from_le_bytes([*a, *b])),
            (Self::S16, [a, b]) => f64::from(i16::from_le_bytes([*a, *b])),
            (Self::S32, [a, b, c, d]) => f64::from(i32::from_le_bytes([*a, *b, *c, *d])),
            (Self::F32, [a, b, c, d]) => f64::from(f32::from_le_bytes([*a, *b, *c, *d])),
            (Self::F64, all) => all.try_into().map_or(f64::NAN, f64::from_le_bytes),
            _ => f64::NAN,
        }
    }
}

/// Order of the channels of a pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Layout {
    Grey,
    GreyAlpha,
    /// Three or four channels.
    Colour {
        channels: usize,
        blue_first: bool,
    },
    /// The colours of the first two pixels of the first two rows.
    Bayer([u8; 4]),
    /// The positions of u, v and the two lumas in four bytes.
    Yuv([usize; 4]),
}

fn layout(encoding: &str) -> Option<(Depth, Layout)> {
    let colour = |channels, blue_first| Layout::Colour { channels, blue_first };
    Some(match encoding {
        "mono8" | "8UC1" => (Depth::U8, Layout::Grey),
        "8UC2" => (Depth::U8, Layout::GreyAlpha),
        "rgb8" | "8UC3" => (Depth::U8, colour(3, false)),
        "bgr8" => (Depth::U8, colour(3, true)),
        "rgba8" | "8UC4" => (Depth::U8, colour(4, false)),
        "bgra8" => (Depth::U8, colour(4, true)),
        "bayer_rggb8" => (Depth::U8, Layout::Bayer(*b"rggb")),
        "bayer_bggr8" => (Depth::U8, Layout::Bayer(*b"bggr")),
        "bayer_gbrg8" => (Depth::U8, Layout::Bayer(*b"gbrg")),
        "bayer_grbg8" => (Depth::U8, Layout::Bayer(*b"grbg")),
        "mono16" | "16UC1" => (Depth::U16, Layout::Grey),
        "rgb16" | "16UC3" => (Depth::U16, colour(3, false)),
        "bgr16" => (Depth::U16, colour(3, true)),
        "rgba16" | "16UC4" => (Depth::U16, colour(4, false)),
        "bgra16" => (Depth::U16, colour(4, true)),
        "16SC1" => (Depth::S16, Layout::Grey),
        "32SC1" => (Depth::S32, Layout::Grey),
        "32FC1" => (Depth::F32, Layout::Grey),
        "64FC1" => (Depth::F64, Layout::Grey),
        "yuv422" | "uyvy" => (Depth::U8, Layout::Yuv([0, 2, 1, 3])),
        "yuv422_yuy2" | "yuyv" => (Depth::U8, Layout::Yuv([1, 3, 0, 2])),
        _ => return None,
    })
}

/// A raw image as PNG. Wide values of one channel are stretched from the lowest to the highest, so that depths are seen.
pub(super) fn png_of(raw: &Raw, width: Option<u32>) -> Result<Encoded, Problem> {
    png(&scaled(picture(raw)?, width))
}

fn picture(raw: &Raw) -> Result<Picture, Problem> {
    let Raw { width, height, encoding, .. } = raw;
    let (depth, layout) = layout(encoding)
        .ok_or_else(|| format!("pixels of the encoding `{encoding}` cannot be shown; read them as `data`"))?;
    check_size(*width, *height)?;
    let channels = match layout {
        Layout::Grey | Layout::Bayer(_) => 1,
        Layout::GreyAlpha | Layout::Yuv(_) => 2,
        Layout::Colour { channels, .. } => channels,
    };
    let row_bytes = *width as usize * channels * depth.bytes();
    let stride = raw.stride.max(row_bytes);
    let needed = stride.saturating_mul(*height as usize - 1).saturating_add(row_bytes);
    if raw.data.len() < needed {
        let found = raw.data.len();
        return Err(format!(
            "an image `{encoding}` of {width}x{height} has {needed} bytes; there are {found}"
        ));
    }
    let row = |y: usize| &raw.data[y * stride..y * stride + row_bytes];
    let rows = || (0..*height as usize).map(row);
    let (channels, data): (usize, Vec<u8>) = match layout {
        Layout::Grey if depth == Depth::U8 => (1, rows().flatten().copied().collect()),
        Layout::Grey => {
            let values = rows().flat_map(|row| row.chunks_exact(depth.bytes()));
            let values: Vec<f64> = values.map(|bytes| depth.read(bytes, raw.is_bigendian)).collect();
            (1, stretched(&values))
        }
        Layout::GreyAlpha => {
            let pixels = rows().flat_map(|row| row.chunks_exact(2));
            (4, pixels.flat_map(|pixel| [pixel[0], pixel[0], pixel[0], pixel[1]]).collect())
        }
        Layout::Colour { channels, blue_first } => {
            let high = |bytes: &[u8]| if raw.is_bigendian { bytes[0] } else { bytes[bytes.len() - 1] };
            let mut data: Vec<u8> =
                rows().flat_map(|row| row.chunks_exact(depth.bytes())).map(high).collect();
            if blue_first {
                data.chunks_exact_mut(channels).for_each(|pixel| pixel.swap(0, 2));
            }
            (channels, data)
        }
        Layout::Bayer(pattern) => {
            let (last_x, last_y) = (*width as usize - 1, *height as usize - 1);
            let pixel = |y: usize, x: usize| {
                let (x, y) = (x / 2 * 2, y / 2 * 2);
                let (right, below) = ((x + 1).min(last_x), (y + 1).min(last_y));
                block(pattern, [row(y)[x], row(y)[right], row(below)[x], row(below)[right]])
            };
            let all = (0..=last_y).flat_map(|y| (0..=last_x).map(move |x| (y, x)));
            (3, all.flat_map(|(y, x)| pixel(y, x)).collect())
        }
        Layout::Yuv(places) => {
            let of_row = |row: &[u8]| {
                let mut colours = Vec::with_capacity(*width as usize * 3);
                for x in 0..*width as usize {
                    let pair = &row[x / 2 * 4..];
                    // The last column of an odd number has no v.
                    let at = |place: usize| f32::from(pair.get(place).copied().unwrap_or(128));
                    colours.extend(rgb(at(places[2 + x % 2]), at(places[0]), at(places[1])));
                }
                colours
            };
            (3, rows().flat_map(of_row).collect())
        }
    };
    Ok(Picture { width: *width, height: *height, channels, data })
}

/// The colour of a block of two by two pixels of a mosaic.
fn block(pattern: [u8; 4], values: [u8; 4]) -> [u8; 3] {
    let mean = |colour: u8| {
        let found =
            pattern.iter().zip(values).filter(|(one, _)| **one == colour).map(|(_, value)| u16::from(value));
        let (sum, count) = found.fold((0, 0), |(sum, count), value| (sum + value, count + 1));
        (sum / count.max(1)) as u8
    };
    [mean(b'r'), mean(b'g'), mean(b'b')]
}

/// BT.601, full range as OpenCV and ROS have it.
fn rgb(y: f32, u: f32, v: f32) -> [u8; 3] {
    let (u, v) = (u - 128.0, v - 128.0);
    [y + 1.402 * v, y - 0.344_136 * u - 0.714_136 * v, y + 1.772 * u]
        .map(|value| value.round().clamp(0.0, 255.0) as u8)
}

/// Values from 0 (the lowest) to 255 (the highest); 0 for those that are not finite.
fn stretched(values: &[f64]) -> Vec<u8> {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = finite
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let scale = if high > low { 255.0 / (high - low) } else { 0.0 };
    let one = |value: &f64| if value.is_finite() { ((value - low) * scale).round() as u8 } else { 0 };
    values.iter().map(one).collect()
}

/// A picture that is not wider than `width`: each pixel is the mean of those that it stands for.
fn scaled(picture: Picture, width: Option<u32>) -> Picture {
    let Picture { width: wide, height: high, channels, data } = &picture;
    let Some(width) = width.filter(|width| width < wide) else { return picture };
    let height = (u64::from(*high) * u64::from(width) / u64::from(*wide)).max(1) as u32;
    let edge = |at: u32, from: u32, to: u32| (u64::from(at) * u64::from(from) / u64::from(to)) as usize;
    let mut small = Vec::with_capacity(width as usize * height as usize * channels);
    let mut sums = vec![0_u32; *channels];
    for y in 0..height {
        let rows = edge(y, *high, height)..edge(y + 1, *high, height).max(edge(y, *high, height) + 1);
        for x in 0..width {
            let columns = edge(x, *wide, width)..edge(x + 1, *wide, width);
            sums.fill(0);
            for row in rows.clone() {
                let start = row * *wide as usize;
                for pixel in data[(start + columns.start) * channels..(start + columns.end) * channels]
                    .chunks_exact(*channels)
                {
                    sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += u32::from(*value));
                }
            }
            let count = (rows.len() * columns.len()) as u32;
            small.extend(sums.iter().map(|sum| (sum / count) as u8));
        }
    }
    Picture { width, height, channels: *channels, data: small }
}

fn png(picture: &Picture) -> Result<Encoded, Problem> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, picture.width, picture.height);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_color(match picture.channels {
        1 => ColorType::Grayscale,
        3 => ColorType::Rgb,
        _ => ColorType::Rgba,
    });
    encoder.set_compression(png::Compression::Fast);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(&picture.data)?;
        writer.finish()
    });
    written.map_err(|e| format!("the picture cannot be encoded: {e}"))?;
    Ok(("image/png", bytes))
}

fn jpeg(picture: &Picture) -> Result<Encoded, Problem> {
    let size = |side: u32| u16::try_from(side).map_err(|_| format!("{side} pixels are too many for a JPEG"));
    let mut bytes = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut bytes, JPEG_QUALITY);
    let colours = if picture.channels == 1 { JpegColor::Luma } else { JpegColor::Rgb };
    let written = encoder.encode(&picture.data, size(picture.width)?, size(picture.height)?, colours);
    written.map_err(|e| format!("the picture cannot be encoded: {e}"))?;
    Ok(("image/jpeg", bytes))
}

fn from_png(data: &[u8]) -> Result<Picture, Problem> {
    let failed = |e: png::DecodingError| format!("the recorded picture cannot be decoded: {e}");
    let mut decoder = Decoder::new_with_limits(data, Limits { bytes: MAX_BYTES });
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(failed)?;
    let (width, height) = (reader.info().width, reader.info().height);
    check_size(width, height)?;
    let mut pixels = vec![0; reader.output_buffer_size()];
    let info = reader.next_frame(&mut pixels).map_err(failed)?;
    pixels.truncate(info.buffer_size());
    let (channels, data) = match info.color_type {
        ColorType::Grayscale => (1, pixels),
        ColorType::GrayscaleAlpha => {
            (4, pixels.chunks_exact(2).flat_map(|pixel| [pixel[0], pixel[0], pixel[0], pixel[1]]).collect())
        }
        ColorType::Rgb => (3, pixels),
        ColorType::Rgba => (4, pixels),
        ColorType::Indexed => {
            return Err("the recorded picture has colours that cannot be decoded".to_owned());
        }
    };
    Ok(Picture { width, height, channels, data })
}

fn from_jpeg(data: &[u8]) -> Result<Picture, Problem> {
    let failed = |e: zune_jpeg::errors::DecodeErrors| format!("the recorded picture cannot be decoded: {e}");
    let side = MAX_SIDE as usize;
    let options = DecoderOptions::default().set_max_width(side).set_max_height(side);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(data), options);
    decoder.decode_headers().map_err(failed)?;
    let is_grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let wanted = if is_grey { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(wanted));
    let info = decoder.info().ok_or("the recorded picture has no size")?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    check_size(width, height)?;
    let data = decoder.decode().map_err(failed)?;
    Ok(Picture { width, height, channels: if is_grey { 1 } else { 3 }, data })
}

/// Refuses what would need too much memory.
fn check_size(width: u32, height: u32) -> Result<(), Problem> {
    let is_fine = (1..=MAX_SIDE).contains(&width)
        && (1..=MAX_SIDE).contains(&height)
        && width as usize * height as usize * 4 <= MAX_BYTES;
    is_fine.then_some(()).ok_or_else(|| {
        let most = MAX_BYTES / 4;
        format!("an image of {width}x{height} cannot be shown; it may have {most} pixels, and {MAX_SIDE} on each side")
    })
}

/// A picture in its codec, not wider than `width`.
pub(super) fn smaller(data: &[u8], is_jpeg: bool, width: u32) -> Result<Encoded, Problem> {
    let picture = if is_jpeg { from_jpeg(data)? } else { from_png(data)? };
    if picture.width <= width {
        return Ok((if is_jpeg { "image/jpeg" } else { "image/png" }, data.to_vec()));
    }
    let small = scaled(picture, Some(width));
    if is_jpeg { jpeg(&small) } else { png(&small) }
}

/// The bytes in the container of raw images: a grey PNG of as many columns as a row has bytes.
pub(super) fn unpacked(data: &[u8]) -> Result<Vec<u8>, Problem> {
    match from_png(data)? {
        Picture { channels: 1, data, .. } => Ok(data),
        _ => Err("the pixels are packed as PNG, but not as a grey one of 8 bits".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(encoding: &str, width: u32, height: u32, stride: usize, data: &[u8]) -> Raw {
        Raw { data: data.to_vec(), width, height, stride, encoding: encoding.to_owned(), is_bigendian: false }
    }

    fn shown(raw: &Raw, width: Option<u32>) -> Picture {
        let (kind, bytes) = png_of(raw, width).unwrap();
        assert_eq!(kind, "image/png");
        from_png(&bytes).unwrap()
    }

    #[test]
    fn pixels_become_pictures() {
        let grey = shown(&raw("mono8", 2, 2, 3, &[1, 2, 99, 3, 4]), None);
        assert_eq!(grey.data, [1, 2, 3, 4], "without the padding of rows");
        assert_eq!(shown(&raw("bgr8", 1, 1, 3, &[1, 2, 3]), None).data, [3, 2, 1]);
        assert_eq!(shown(&raw("bgra8", 1, 1, 4, &[1, 2, 3, 9]), None).data, [3, 2, 1, 9]);
        assert_eq!(shown(&raw("rgb16", 1, 1, 6, &[0, 1, 0, 2, 0, 3]), None).data, [1, 2, 3]);
        let depths: Vec<u8> = [1000_u16, 1051, 1255].iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(shown(&raw("16UC1", 3, 1, 6, &depths), None).data, [0, 51, 255]);
        let swapped: Vec<u8> = [1000_u16, 1051, 1255].iter().flat_map(|value| value.to_be_bytes()).collect();
        let swapped = Raw { is_bigendian: true, ..raw("16UC1", 3, 1, 6, &swapped) };
        assert_eq!(shown(&swapped, None).data, [0, 51, 255]);
        let floats: Vec<u8> = [f32::NAN, -1.0, 1.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(shown(&raw("32FC1", 3, 1, 12, &floats), None).data, [0, 0, 255]);
        let mosaic = shown(&raw("bayer_rggb8", 2, 2, 2, &[10, 20, 40, 30]), None);
        assert_eq!(mosaic.data, [10, 30, 30].repeat(4));
        assert_eq!(shown(&raw("yuyv", 2, 1, 4, &[50, 128, 60, 128]), None).data, [50, 50, 50, 60, 60, 60]);
        assert_eq!(shown(&raw("uyvy", 2, 1, 4, &[128, 50, 128, 60]), None).data, [50, 50, 50, 60, 60, 60]);
    }

    #[test]
    fn pictures_get_smaller_and_keep_their_shape() {
        let wide = shown(&raw("mono8", 8, 4, 8, &[7; 32]), Some(2));
        assert_eq!((wide.width, wide.height, wide.data), (2, 1, vec![7, 7]));
        let halves = shown(&raw("mono8", 4, 1, 4, &[10, 20, 30, 50]), Some(2));
        assert_eq!(halves.data, [15, 40], "the means");
        let colours = Picture { width: 64, height: 32, channels: 3, data: [200, 100, 50].repeat(64 * 32) };
        let (_, stored) = jpeg(&colours).unwrap();
        let (kind, small) = smaller(&stored, true, 16).unwrap();
        let small = from_jpeg(&small).unwrap();
        assert_eq!((kind, small.width, small.height, small.channels), ("image/jpeg", 16, 8, 3));
        assert!(small.data.iter().zip([200_u8, 100, 50].repeat(128)).all(|(a, b)| a.abs_diff(b) < 6));
        assert_eq!(smaller(&stored, true, 64).unwrap().1, stored, "as it is");
        let packed = png_of(&raw("mono8", 2, 1, 2, &[5, 6]), None).unwrap().1;
        assert_eq!(unpacked(&packed).unwrap(), [5, 6]);
    }

    #[test]
    fn impossible_pictures_are_refused() {
        let refused = |raw: &Raw| png_of(raw, None).unwrap_err();
        assert!(refused(&raw("mono8", 2, 2, 2, &[1, 2, 3])).contains("there are 3"));
        assert!(refused(&raw("mono8", 0, 2, 2, &[])).contains("0x2"));
        assert!(refused(&raw("mono8", u32::MAX, u32::MAX, usize::MAX, &[])).contains("cannot be shown"));
        assert!(refused(&raw("magic", 1, 1, 1, &[1])).contains("`magic`"));
        assert!(smaller(b"no jpeg", true, 3).unwrap_err().contains("cannot be decoded"));
    }
}
