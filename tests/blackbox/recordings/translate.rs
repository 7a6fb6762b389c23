//! Requests of one dialect, written in another.
