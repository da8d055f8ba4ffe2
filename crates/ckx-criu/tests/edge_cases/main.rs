//! Malformed, rare and surprising input: one test or more for each case that readers of images have
//! met or must expect. The names say the case.

mod machines;
mod memory;
mod single;

use ckx_criu::json::{ImageJson, JsonOptions, Payload, Style, encode, to_writer};
use ckx_criu::{Error, ErrorKind, Image};
use serde::Deserialize as _;
use serde_json::Value;

/// An image that must be recognised.
fn parse<'a>(name: &'a str, data: &'a [u8]) -> Image<'a> {
    Image::parse(name.as_bytes(), data).expect("a recognised image")
}

/// The fault with which a file is not recognised.
fn refused(name: &str, data: &[u8]) -> Error {
    Image::parse(name.as_bytes(), data).expect_err("no image")
}

/// How many entries are good, and the fault behind them.
fn walk(image: Image<'_>) -> (usize, Option<Error>) {
    let mut good = 0;
    for entry in image.entries() {
        match entry {
            Ok(_) => good += 1,
            Err(error) => return (good, Some(error)),
        }
    }
    (good, None)
}

/// What an error says: kind, entry and offset.
fn place(error: Option<Error>) -> Option<(ErrorKind, Option<u64>, u64)> {
    error.map(|error| (error.kind().clone(), error.entry(), error.offset()))
}

/// The JSON of an image, which must give the very same bytes back, plain and pretty.
fn json(image: Image<'_>) -> Value {
    let form = |pretty, style| {
        let mut text = Vec::new();
        let document = ImageJson::new(image, JsonOptions { pretty, payload: Payload::Full });
        to_writer(&mut text, &document, style).expect("memory");
        assert_eq!(encode(&text).expect("our own JSON"), image.data(), "{}", String::from_utf8_lossy(&text));
        // Messages may nest deeper than serde_json reads by itself.
        let mut deserializer = serde_json::Deserializer::from_slice(&text);
        deserializer.disable_recursion_limit();
        Value::deserialize(&mut deserializer).expect("JSON")
    };
    let _: Value = form(true, Style::Indented);
    form(false, Style::Line)
}
