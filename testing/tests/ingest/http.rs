//! What the ingest accepts and records of HTTP.

use serde_json::json;

use crate::support::{AUTH, Client, ID, PATH, TYPE, names, post, post_envelope, start, statuses, transaction};

#[test]
fn a_chunked_body_is_read() {
    let ingest = start();
    let mut client = Client::new(&ingest);
    let head =
        format!("POST {PATH} HTTP/1.1\r\nHost: localhost\r\n{AUTH}\r\n{TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(head.as_bytes());
    let body = transaction("chunked");
    for chunk in body.chunks(7) {
        client.send(format!("{:x}\r\n", chunk.len()).as_bytes());
        client.send(chunk);
        client.send(b"\r\n");
    }
    client.send(b"0\r\n\r\n");
    let response = client.response().expect("a response");
    assert_eq!((response.status, response.json()), (200, json!({ "id": ID })));
    assert_eq!(names(&ingest), ["chunked"]);
    assert_eq!(ingest.requests()[0].body_size(), body.len());
}

#[test]
fn a_connection_carries_several_envelopes() {
    let ingest = start();
    let mut client = Client::new(&ingest);
    for name in ["first", "second"] {
        client.envelope(&transaction(name));
        assert_eq!(client.response().expect("a response").status, 200);
    }
    assert_eq!(names(&ingest), ["first", "second"]);
}

#[test]
fn a_request_whose_client_leaves_in_the_middle_is_not_recorded() {
    let ingest = start();
    let mut client = Client::new(&ingest);
    client.send(
        format!("POST {PATH} HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n{TYPE}\r\nContent-Length: 9\r\n\r\n{{}}").as_bytes(),
    );
    drop(client);
    post_envelope(&ingest, &[], &transaction("whole"));
    assert_eq!(statuses(&ingest), [Some(200)]);
}

#[test]
fn a_recorded_request_has_what_was_sent_and_why_it_was_refused() {
    let ingest = start();
    let refused = format!("POST {PATH}?a=b");
    post(&ingest, &refused, &["User-Agent: t/1", TYPE], b"{}");
    let requests = ingest.requests();
    let request = &requests[0];
    assert_eq!((request.method(), request.path()), ("POST", PATH));
    assert_eq!(request.query(), Some("a=b"));
    assert_eq!(request.header("user-agent"), Some("t/1"));
    assert_eq!(request.headers().len(), 4, "{request:?}");
    assert_eq!((request.status(), request.body_size()), (Some(403), 2));
    let reason = request.refusal().expect("a reason");
    assert!(reason.starts_with("bad credentials: expected"), "{reason}");
}
