use super::*;

fn frame_bytes(form: u8, header: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = prefix(form, header.len(), body.len()).to_vec();
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(body);
    bytes
}

fn take_all(bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
    take(&mut BytesMut::from(bytes), FRAME_BYTES_MAX)
}

#[test]
fn a_frame_is_cut_where_its_lengths_say() {
    let mut buffer = BytesMut::from(&frame_bytes(1, b"head", b"body!")[..]);
    buffer.extend_from_slice(&frame_bytes(0, b"next", b""));
    let first = take(&mut buffer, FRAME_BYTES_MAX).unwrap().unwrap();
    assert_eq!((first.form, &first.header[..], &first.body[..]), (1, &b"head"[..], &b"body!"[..]));
    let second = take(&mut buffer, FRAME_BYTES_MAX).unwrap().unwrap();
    assert_eq!((second.form, &second.header[..], &second.body[..]), (0, &b"next"[..], &b""[..]));
    assert_eq!(take(&mut buffer, FRAME_BYTES_MAX), Ok(None));
    assert!(buffer.is_empty());
}

#[test]
fn every_prefix_of_a_frame_waits_for_the_rest() {
    let whole = frame_bytes(0, b"{}", b"body");
    for length in 0..whole.len() {
        assert_eq!(take_all(&whole[..length]), Ok(None), "prefix of {length}");
    }
}

#[test]
fn false_lengths_are_refused_before_their_bytes_arrive() {
    let cases: [(&[u8], FrameError); 6] = [
        (&[0x01, 0, 0, 1], FrameError::TooLong { length: 16_777_217, max: FRAME_BYTES_MAX }),
        (&[0x7f, 0xff, 0xff, 0xff], FrameError::TooLong { length: 0x7fff_ffff, max: FRAME_BYTES_MAX }),
        (&[0xff, 0xff, 0xff, 0xff], FrameError::TooShort(-1)),
        (&[0, 0, 0, 3], FrameError::TooShort(3)),
        (&[0, 0, 0, 8, 0, 0, 0, 5], FrameError::HeaderPastFrame { header: 5, frame: 8 }),
        (&[0, 0x50, 0, 0, 0, 0x40, 0, 1], FrameError::HeaderTooLong(4_194_305)),
    ];
    for (bytes, error) in cases {
        assert_eq!(take_all(bytes), Err(error), "{bytes:?}");
    }
}

#[test]
fn a_tls_hello_is_no_frame() {
    assert!(take_all(&[0x16, 3, 1, 2, 0, 1, 0]).is_err());
}
