//! Rules of what lives longer than a request. Pure: rows in, values out.

pub mod items;
pub mod responses;
