use super::*;

fn decode(bytes: &[u8]) -> Result<Command, CommandError> {
    let mut buffer = BytesMut::from(bytes);
    let frame = frame::take(&mut buffer, frame::FRAME_BYTES_MAX).unwrap().expect("a whole frame");
    Command::decode(frame)
}

fn encode(command: &Command) -> BytesMut {
    let mut bytes = BytesMut::new();
    command.encode(&mut bytes);
    bytes
}

fn framed(form: u8, header: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = frame::prefix(form, header.len(), body.len()).to_vec();
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(body);
    bytes
}

fn sample(form: HeaderForm) -> Command {
    let mut command =
        Command::request(RequestCode::GET_ROUTEINFO_BY_TOPIC).with_opaque(-7).with_remark("why \"so\"\n");
    command.fields.push("topic", "T\u{1}\u{2}é");
    command.fields.push("empty", "");
    command.body = Bytes::from_static(b"body");
    command.form = form;
    command
}

#[test]
fn both_forms_give_back_what_went_in() {
    for form in [HeaderForm::Json, HeaderForm::Binary] {
        let command = sample(form);
        let decoded = decode(&encode(&command)).unwrap();
        assert_eq!(decoded, command);
        assert_eq!(encode(&decoded), encode(&command));
    }
}

#[test]
fn the_json_form_is_javas() {
    let mut command = Command::request(RequestCode::GET_ROUTEINFO_BY_TOPIC).with_opaque(7);
    command.fields.push("topic", "T");
    let bytes = encode(&command);
    let header = std::str::from_utf8(&bytes[frame::PREFIX..]).unwrap();
    assert_eq!(
        header,
        r#"{"code":105,"extFields":{"topic":"T"},"flag":0,"language":"JAVA","opaque":7,"serializeTypeCurrentRPC":"JSON","version":479}"#
    );
}

#[test]
fn json_headers_of_other_clients_are_read() {
    let go = br#"{"code":105,"language":"GO","version":317,"opaque":1,"flag":0,"remark":"","extFields":{}}"#;
    let command = decode(&framed(0, go, b"")).unwrap();
    assert_eq!((command.code, command.language, command.version), (105, Language::Go, 317));
    assert_eq!((command.remark, command.fields), (Some(Text::default()), Fields::empty()));

    let odd = br#"{'code':"11", flag:0, "extFields":{"n":5,"b":true,"gone":null,"u":"\u0001\ud83d\ude00"},"remark":null,"x":[{}]} "#;
    let command = decode(&framed(0, odd, b"")).unwrap();
    assert_eq!((command.code, command.remark), (11, None));
    let get = |name: &str| command.fields.get(name).map(|text| text.to_string());
    assert_eq!(get("n").as_deref(), Some("5"));
    assert_eq!(get("b").as_deref(), Some("true"));
    assert_eq!(get("gone"), None);
    assert_eq!(get("u").as_deref(), Some("\u{1}\u{1F600}"));
}

#[test]
fn damaged_headers_are_refused() {
    let many: String = (0..257).map(|n| format!("\"k{n}\":\"\",")).collect();
    let too_many = format!("{{\"extFields\":{{{many}}}}}");
    let deep = format!("{{\"x\":{}", "[".repeat(100));
    let cases: [&[u8]; 8] = [
        b"",
        b"{\"code\":1",
        b"{\"code\":99999999999}",
        b"[]",
        b"{\"remark\":\"\xff\"}",
        b"{\"code\":1}{}",
        too_many.as_bytes(),
        deep.as_bytes(),
    ];
    for header in cases {
        let decoded = decode(&framed(0, header, b""));
        assert!(matches!(decoded, Err(CommandError::Json(_))), "{decoded:?}");
    }
    assert_eq!(decode(&framed(2, b"{}", b"")), Err(CommandError::UnknownForm(2)));
}

#[test]
fn a_binary_block_may_not_run_past_its_parent() {
    let fixed = [0, 105, 0, 1, 0xdf, 0, 0, 0, 1, 0, 0, 0, 0];
    let with = |rest: &[u8]| decode(&framed(1, &[&fixed[..], rest].concat(), b"plenty of body bytes"));
    let error = |rest: &[u8]| with(rest).unwrap_err().to_string();
    assert_eq!(with(&[0, 0, 0, 0, 0, 0, 0, 0]).unwrap().code, 105);
    assert!(error(&[0, 0, 0, 9]).contains("the remark is cut off"));
    assert!(error(&[0xff, 0, 0, 0]).contains("the remark has a negative length"));
    assert!(error(&[0, 0, 0, 0, 0, 0, 0, 9]).contains("the map is cut off"));
    // A value that claims more bytes than its map has left.
    let value_past_map = [0, 0, 0, 0, 0, 0, 0, 8, 0, 1, b'k', 0, 0, 0, 9, b'v'];
    assert!(error(&value_past_map).contains("a field's value is cut off"));
    assert!(error(&[0, 0, 0, 0, 0, 0, 0, 2, 0xff, 0xff]).contains("a field's name has a negative length"));
}

#[test]
fn an_answer_speaks_the_requests_form_and_number() {
    let answer = sample(HeaderForm::Binary).answer(ResponseCode::TOPIC_NOT_EXIST);
    assert!(answer.is_answer() && !answer.is_one_way());
    assert_eq!((answer.opaque, answer.form, answer.fields.is_absent()), (-7, HeaderForm::Binary, false));
}
