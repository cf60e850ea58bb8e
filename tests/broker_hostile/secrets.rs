//! A secret in every place of the settings that takes one: nobody is told it, whatever they ask.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use bytes::Bytes;
use ferrymq_proto::code::RequestCode;

use crate::alone::broker_port;
use crate::broker::{Broker, request, said, send};

const SECRET: &str = "canary-Q7f3xW";
/// Parts of names of keys whose values are secrets, or have some in them.
const SECRET_WORDS: [&str; 8] =
    ["password", "secret", "accesskey", "credential", "header", "token", "proxyconfig", "authenticationuser"];

/// The keys of docs/config.md that take a secret.
fn secret_keys() -> BTreeSet<String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md")).unwrap();
    let words =
        page.lines().filter(|line| line.starts_with('|')).flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_secret = |word: &&str| {
        let letters = word.to_lowercase();
        letters.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '.')
            && SECRET_WORDS.iter().any(|part| letters.contains(part))
    };
    words.filter(is_secret).map(str::to_owned).collect()
}

/// What a broker does not start with, since it asks for what is not offered.
const REFUSED: &str = "tls.server.keyPassword";

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn holds_no_secret(what: &str, text: &str) {
    let at = text.find(SECRET).map(|at| text.get(at.saturating_sub(200)..).unwrap_or(text));
    assert_eq!(at, None, "{what} tells the secret");
}

pub async fn are_told_to_nobody() {
    let keys = secret_keys();
    for known in
        ["tls.client.keyPassword", "objectStoreSecretKey", "innerClientAuthenticationCredentials", REFUSED]
    {
        assert!(keys.contains(known), "{known} is not among {keys:?}");
    }
    let mut settings: Vec<String> =
        keys.iter().filter(|key| *key != REFUSED).map(|key| format!("{key}=user:{SECRET}")).collect();
    // Misspelt ones, and ones of a tool of somebody's own.
    settings.extend(["objectStoreSecretKye", "myOwnPassword"].map(|key| format!("{key}={SECRET}")));
    settings.push("metricsExporterType=PROM".to_owned());
    settings.push(format!("metricsPromExporterPort={}", broker_port(1)));
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let environment = [
        ("FERRYMQ_LOG", "trace"),
        ("FERRYMQ_BROKER_OBJECT_STORE_SECRET_KEY", SECRET),
        ("FERRYMQ_BROKER_METRICS_GRPC_EXPORTER_HEADER", SECRET),
        ("JAVA_OPT_EXT", "-Dtls.client.keyPassword=canary-Q7f3xW"),
    ];
    let broker = Broker::start_in(&settings, &environment);
    let client = broker.client();
    assert_eq!(client.exchange(send("t", 0, "", 0, "x")).await.unwrap().code, 0);

    let fields = [
        ("topic", "t"),
        ("group", "g"),
        ("consumerGroup", "g"),
        ("queueId", "0"),
        ("offset", "0"),
        ("timestamp", "0"),
    ];
    let mut answered = 0;
    for code in RequestCode::ALL {
        let answer = client.exchange(request(code.0, &fields, Bytes::new())).await.unwrap();
        answered += usize::from(answer.code == 0);
        holds_no_secret(&format!("request {code}"), &said(&answer));
    }
    assert!(answered > 20, "{answered} codes are served");
    let configuration = client.exchange(request(26, &[], Bytes::new())).await.unwrap();
    assert!(said(&configuration).contains("metricsGrpcExporterHeader=******"), "{}", said(&configuration));
    // Who may not set it does not hear it either.
    for key in &keys {
        let change = format!("{key}={SECRET}");
        let answer = client.exchange(request(25, &[], change)).await.unwrap();
        assert_eq!(answer.code, 16, "{key}: {}", said(&answer));
        holds_no_secret("a refused change", &said(&answer));
    }

    let http = format!("{}:{}", broker.home, broker_port(1));
    for path in ["/", "/livez", "/readyz?verbose", "/metrics", "/api/v1/status"] {
        let page = get(&http, path);
        assert!(page.starts_with("HTTP/1.1 200"), "{path}: {page}");
        holds_no_secret(path, &page);
    }
    let conf = broker.conf();
    let conf = conf.to_str().unwrap();
    for command in [
        &["config", "get"][..],
        &["config", "get", "-o", "json"],
        &["config", "diff"],
        &["config", "lint", conf],
        &["config", "dump", conf],
        &["broker", "-c", conf, "-p"],
        &["broker", "-c", conf, "-p", "--origin"],
        &["broker", "-c", conf, "-m"],
        &["broker", "-c", conf, "--check", "--strict"],
        &["admin", "getBrokerConfig", "-b", &broker.address],
        &["admin", "brokerStatus", "-b", &broker.address],
        &["doctor"],
        &["cluster", "status"],
        &["node", "describe", &broker.address],
    ] {
        let printed = broker.says(command);
        assert!(!printed.is_empty(), "{command:?}");
        holds_no_secret(&command.join(" "), &printed);
    }
    let log = broker.log();
    assert!(log.contains(" TRACE ") || log.contains(" DEBUG "), "the log tells little:\n{log}");
    holds_no_secret("the log", &log);

    fs::write(conf, format!("{REFUSED}={SECRET}\n")).unwrap();
    let refused = broker.says(&["broker", "-c", conf]);
    assert!(refused.contains("F1211"), "{refused}");
    holds_no_secret("a refused start", &refused);
}
