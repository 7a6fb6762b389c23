#![no_main]

#[path = "../decoders.rs"]
mod decoders;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for (name, decode) in decoders::DECODERS {
        if name == "reply_responses" {
            decode(bytes);
        }
    }
});
