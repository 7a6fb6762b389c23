//! Tokens of a request, counted here.

use crate::base::Error;
use crate::router::Needs;
use crate::wire::codec;
use crate::wire::vocab::Dialect;

/// An estimate: four bytes of text to a token, fixed sums for media and tools.
///
/// # Errors
/// When the request cannot be read.
pub fn estimate_tokens(dialect: Dialect, body: &[u8]) -> Result<u64, Error> {
    let request = codec(dialect).decode_request(body)?;
    Ok(Needs::of(&request).input_tokens)
}
