//! Pictures and documents in a request: data URLs decoded and looked at, other URLs passed on.
//!
//! The limits are those of the Messages API, which would refuse the request after all of it was sent.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use imagesize::ImageType;

use crate::content::Source;
use crate::error::ApiError;

/// Bytes of one picture, decoded: the model API refuses more.
pub const MAX_IMAGE_BYTES: usize = 5 * 1024 * 1024;

/// Pictures in one request, those of its history included: the model API refuses more.
pub const MAX_IMAGES: usize = 100;

/// Bytes of one document, decoded: as base64 it is the 32 MB that the model API takes in one request.
pub const MAX_DOCUMENT_BYTES: usize = 24 * 1024 * 1024;

/// The longest URL passed on: what servers commonly take.
const MAX_URL: usize = 8 * 1024;

/// How far into a file the mark of a PDF may stand, as its readers have it (ISO 32000-1, annex H).
const PDF_HEADER_WITHIN: usize = 1024;

/// Takes base64 with or without padding; what is sent is the standard form.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A picture from a `data:` URL or any other.
pub(crate) fn image_url(param: &str, url: &str) -> Result<Source, ApiError> {
    match data_url(url) {
        Some(data) => image(param, data.map_err(|reason| ApiError::invalid(param, reason))?),
        None => remote(param, url),
    }
}

/// A picture from base64. Its own first bytes say what it is, whatever the caller said.
pub(crate) fn image(param: &str, base64: &str) -> Result<Source, ApiError> {
    let bytes = decode(param, base64, MAX_IMAGE_BYTES, "an image")?;
    let Some(media_type) = image_type(&bytes) else {
        let message = "is no PNG, JPEG, GIF or WebP image";
        return Err(ApiError::invalid(param, message).code("invalid_image_format"));
    };
    Ok(Source::Base64 { media_type: media_type.to_owned(), data: LENIENT.encode(bytes) })
}

/// A PDF from a `data:` URL, from bare base64, or from any other URL.
pub(crate) fn document(param: &str, data: &str) -> Result<Source, ApiError> {
    let base64 = match data_url(data) {
        Some(data) => data.map_err(|reason| ApiError::invalid(param, reason))?,
        None if data.contains("://") => return remote(param, data),
        None => data,
    };
    let bytes = decode(param, base64, MAX_DOCUMENT_BYTES, "a document")?;
    let head = &bytes[..bytes.len().min(PDF_HEADER_WITHIN)];
    if !head.windows(5).any(|window| window == b"%PDF-") {
        return Err(ApiError::invalid(param, "is no PDF; only PDF files are supported"));
    }
    Ok(Source::Base64 { media_type: "application/pdf".to_owned(), data: LENIENT.encode(bytes) })
}

/// A URL that the model API will fetch. Nothing here ever does.
pub(crate) fn remote(param: &str, url: &str) -> Result<Source, ApiError> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if !matches!(scheme.as_deref(), Some("https" | "http")) {
        return Err(ApiError::invalid(param, "must be an https, http or data URL"));
    }
    if url.len() > MAX_URL {
        return Err(ApiError::invalid(param, format!("a URL of more than {MAX_URL} bytes")));
    }
    if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(ApiError::invalid(param, "is no URL: it holds white space or control characters"));
    }
    Ok(Source::Url { url: url.to_owned() })
}

/// The base64 of a `data:` URL (RFC 2397); `None` for another URL.
fn data_url(url: &str) -> Option<Result<&str, &'static str>> {
    let scheme = url.get(..5)?;
    if !scheme.eq_ignore_ascii_case("data:") {
        return None;
    }
    let Some((kind, data)) = url[5..].split_once(',') else { return Some(Err("a data URL without data")) };
    let is_base64 = kind.rsplit(';').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("base64"));
    Some(if is_base64 { Ok(data) } else { Err("a data URL must be base64") })
}

fn decode(param: &str, base64: &str, limit: usize, what: &str) -> Result<Vec<u8>, ApiError> {
    let too_large = || {
        let message = format!("{what} of more than {} MB", limit / (1024 * 1024));
        ApiError::invalid(param, message).code("file_too_large")
    };
    // Mail software breaks lines.
    let text: Vec<u8> = base64.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if text.len() / 4 * 3 > limit + 3 {
        return Err(too_large());
    }
    let bytes = LENIENT
        .decode(text)
        .map_err(|error| ApiError::invalid(param, format!("is no base64: {error}")).code("invalid_base64"))?;
    match bytes.len() {
        0 => Err(ApiError::invalid(param, "is empty")),
        length if length > limit => Err(too_large()),
        _ => Ok(bytes),
    }
}

/// What the first bytes say. An image whose size they do not tell is none: the CLI would send a sentence about it
/// in its place (seen on 2.1.330).
fn image_type(bytes: &[u8]) -> Option<&'static str> {
    let kind = match imagesize::image_type(bytes).ok()? {
        ImageType::Png => "image/png",
        ImageType::Jpeg => "image/jpeg",
        ImageType::Gif => "image/gif",
        ImageType::Webp => "image/webp",
        _ => return None,
    };
    let size = imagesize::blob_size(bytes).ok()?;
    (size.width > 0 && size.height > 0).then_some(kind)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD as STRICT;

    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x02\0\0\0\x01\x08\x02\0\0\0";
    const JPEG: &[u8] = b"\xff\xd8\xff\xc0\0\x11\x08\0\x01\0\x02\x03\x01\x11\0\x02\x11\0\x03\x11\0";
    const WEBP: &[u8] = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x01\0\0\0\0\0";

    fn url(kind: &str, bytes: &[u8]) -> String {
        format!("data:{kind};base64,{}", STRICT.encode(bytes))
    }

    fn inline(source: Source) -> (String, Vec<u8>) {
        let Source::Base64 { media_type, data } = source else { panic!("{source:?}") };
        (media_type, STRICT.decode(data).unwrap())
    }

    #[test]
    fn the_bytes_say_what_an_image_is() {
        for (bytes, expected) in [
            (PNG, "image/png"),
            (JPEG, "image/jpeg"),
            (b"GIF87a\x02\0\x01\0\0\0\0", "image/gif"),
            (b"GIF89a\x02\0\x01\0\0\0\0", "image/gif"),
            (WEBP, "image/webp"),
        ] {
            for kind in ["image/png", "image/jpg", "", "application/octet-stream;x=y"] {
                let source = image_url("p", &url(kind, bytes)).unwrap();
                assert_eq!(inline(source), (expected.to_owned(), bytes.to_vec()));
            }
        }
    }

    #[test]
    fn base64_is_read_leniently_and_sent_in_the_standard_form() {
        let standard = STRICT.encode(PNG);
        let wrapped: String = standard.chars().flat_map(|c| [c, '\n']).collect();
        for data in [standard.as_str(), standard.trim_end_matches('='), &wrapped] {
            let expected = Source::Base64 { media_type: "image/png".into(), data: standard.clone() };
            assert_eq!(image_url("p", &format!("DATA:image/png;BASE64,{data}")), Ok(expected));
        }
    }

    #[test]
    fn a_remote_url_is_passed_on_as_it_is() {
        for url in ["https://example.com/a.png?b=c#d", "http://10.0.0.1/x", "HTTPS://é.example/"] {
            assert_eq!(image_url("p", url), Ok(Source::Url { url: url.to_owned() }));
            assert_eq!(document("p", url), Ok(Source::Url { url: url.to_owned() }));
        }
    }

    #[test]
    fn what_is_no_image_is_refused_by_name() {
        let large = [PNG, &vec![0; MAX_IMAGE_BYTES]].concat();
        for (text, code) in [
            ("", None),
            ("file:///etc/passwd", None),
            ("ftp://x/y", None),
            ("javascript:alert(1)", None),
            ("/etc/passwd", None),
            ("https://a b", None),
            ("https://a\nb", None),
            (&format!("https://x/{}", "a".repeat(MAX_URL)), None),
            ("data:image/png;base64", None),
            ("data:image/png,%89PNG", None),
            ("data:image/png;base64,", None),
            ("data:image/png;base64,!!!!", Some("invalid_base64")),
            ("data:image/png;base64,A", Some("invalid_base64")),
            (&url("image/svg+xml", b"<svg/>"), Some("invalid_image_format")),
            (&url("image/png", b"%PDF-1.7"), Some("invalid_image_format")),
            (&url("image/png", b"\x89PNG\r\n\x1a\nrest"), Some("invalid_image_format")),
            (&url("image/gif", b"GIF89a\0\0\0\0\0\0\0"), Some("invalid_image_format")),
            (
                &url("image/bmp", b"BM\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0"),
                Some("invalid_image_format"),
            ),
            (&url("image/png", &large), Some("file_too_large")),
        ] {
            let error = image_url("messages[0]", text).unwrap_err();
            let found = (error.status, error.code, error.param.as_deref());
            assert_eq!(found, (400, code, Some("messages[0]")), "{text:.60}");
        }
        let largest = [PNG, &vec![0; MAX_IMAGE_BYTES - PNG.len()]].concat();
        assert!(image_url("p", &url("image/png", &largest)).is_ok());
    }

    #[test]
    fn a_document_is_a_pdf() {
        let pdf = b"\n%PDF-1.7 x";
        for data in [url("application/pdf", pdf), url("", pdf), STRICT.encode(pdf)] {
            assert_eq!(inline(document("p", &data).unwrap()), ("application/pdf".to_owned(), pdf.to_vec()));
        }
        for data in [url("application/pdf", b"PK\x03\x04"), "plain text".to_owned(), "file://x".to_owned()] {
            assert_eq!(document("p", &data).unwrap_err().param.as_deref(), Some("p"));
        }
    }
}
