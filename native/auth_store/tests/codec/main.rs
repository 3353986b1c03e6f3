//! The codec from outside, in one binary, since linking takes longer than testing.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod support;

mod bytes;
mod carried;
mod check;
mod creds;
mod elsewhere;
mod etf;
mod fixtures;
mod free_form;
mod history;
mod hostile;
mod legacy;
mod others;
mod properties;
mod sender_key;
mod session;
mod surrogates;
