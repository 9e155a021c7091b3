use std::{io::Read, iter};

use proptest::prelude::*;

use super::{Gzip, huffman::codes};

/// A body after compression.
fn gzipped(gzip: &mut Gzip, plain: &[u8]) -> Vec<u8> {
    let mut out = b"before".to_vec();
    gzip.compress(plain, &mut out);
    assert!(out.starts_with(b"before"));
    out.split_off(6)
}

fn read(gzipped: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(gzipped).read_to_end(&mut plain).unwrap();
    plain
}

/// Bytes that do not repeat themselves.
fn noise(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    iter::repeat_with(|| random.u8(..)).take(length).collect()
}

#[test]
fn every_body_can_be_read_again() {
    let mut gzip = Gzip::new();
    let far = noise(32 << 10);
    for plain in [
        Vec::new(),
        b"x".to_vec(),
        b"xy".to_vec(),
        vec![0; 300],
        vec![b'x'; 1 << 20],
        noise(1 << 17),
        [far.clone(), far.clone()].concat(),
        [far.clone(), b"!".to_vec(), far].concat(),
        [vec![b'x'; 65_532], b"abcdefgh".repeat(10)].concat(),
        noise(64 << 10),
        (0..=255).cycle().take(100_000).collect(),
    ] {
        assert!(read(&gzipped(&mut gzip, &plain)) == plain, "a body of {} bytes", plain.len());
    }
}

#[test]
fn what_repeats_itself_becomes_small_also_across_blocks() {
    let mut gzip = Gzip::new();
    let noise = noise(64_000);
    let again = noise[62_000..].repeat(10);
    assert!(gzipped(&mut gzip, &[noise, again].concat()).len() < 68_000);
    assert!(gzipped(&mut gzip, &vec![b'x'; 1 << 20]).len() < 2_000);
}

#[test]
fn what_does_not_repeat_itself_grows_by_less_than_a_sixteenth() {
    let plain = noise(1 << 20);
    assert!(gzipped(&mut Gzip::new(), &plain).len() < plain.len() + plain.len() / 16);
}

/// How much of the room for codes is taken, in parts of 2^15. Decoders reject codes that leave room or take too much.
fn taken<const N: usize>(counts: &[u32; N], longest: u32) -> u32 {
    let codes = codes(counts, longest);
    assert!(codes.iter().all(|code| u32::from(code.length) <= longest));
    assert!(codes.iter().zip(counts).all(|(code, count)| *count == 0 || code.length > 0));
    codes.iter().filter(|code| code.length > 0).map(|code| 1 << (15 - code.length)).sum()
}

#[test]
fn codes_stay_short_if_each_symbol_is_as_frequent_as_all_rarer_ones_together() {
    let mut counts = [1; 19];
    (2..19).for_each(|symbol| counts[symbol] = counts[symbol - 1] + counts[symbol - 2]);
    assert_eq!([taken(&counts, 7), taken(&counts, 15)], [1 << 15; 2]);
}

#[test]
fn codes_are_replaced_when_bodies_change() {
    let text =
        |word: &str| (0..2000_u32).map(|at| format!("{word}{:x}", at.wrapping_mul(0x9e37_79b1))).collect::<String>();
    let noise = noise(4000);
    let bodies = [text("span").into_bytes(), noise.clone(), text("log").into_bytes(), vec![b'x'; 4000], noise];
    let mut gzip = Gzip::new();
    for (place, body) in bodies.iter().enumerate() {
        let (kept, new) = (gzipped(&mut gzip, body).len(), gzipped(&mut Gzip::new(), body).len());
        assert!(kept <= new + new / 10, "body {place}: {kept} bytes with the codes of others, {new} with its own");
    }
}

/// Numbers of three digits, as bytes: how many occur says how well codes fit.
fn digits(number: std::ops::Range<u32>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(number, 300..3000)
        .prop_map(|all| all.iter().flat_map(|it| it.to_string().into_bytes()).collect())
}

proptest! {
    #[test]
    fn codes_of_other_bodies_cost_little(
        bodies in prop::collection::vec(prop_oneof![digits(0..10), digits(100..300), digits(0..1_000_000)], 2..6),
    ) {
        let mut gzip = Gzip::new();
        for body in &bodies {
            let (kept, new) = (gzipped(&mut gzip, body).len(), gzipped(&mut Gzip::new(), body).len());
            prop_assert!(kept <= new + new / 8 + 100, "{kept} bytes with the codes of others, {new} with its own");
        }
    }

    #[test]
    fn any_bodies_can_be_read_again(
        bodies in prop::collection::vec("(\"span_id\":\"[0-9a-f]{16}\",|[a-d]{1,9}|.|x{250,270}|(ab12){129,400}){0,60}", 1..4),
    ) {
        let mut gzip = Gzip::new();
        for body in &bodies {
            prop_assert!(read(&gzipped(&mut gzip, body.as_bytes())) == body.as_bytes());
        }
    }

    #[test]
    fn codes_are_short_and_take_all_room(
        counts in prop::array::uniform19((0_u32..16).prop_flat_map(|order| 0..1_u32 << order)),
    ) {
        prop_assert_eq!(taken(&counts, 7), 1 << 15);
        prop_assert_eq!(taken(&counts, 15), 1 << 15);
    }

    #[test]
    fn a_frequent_symbol_never_has_a_longer_code(counts in prop::array::uniform19(0_u32..3000)) {
        let codes = codes(&counts, 15);
        for (code, count) in codes.iter().zip(counts) {
            prop_assert!(codes.iter().zip(counts).all(|(other, rarer)| rarer == 0 || rarer >= count || other.length >= code.length));
        }
    }
}
