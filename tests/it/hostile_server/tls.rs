//! Certificates are verified; root certificates of the application are trusted, too.

use std::{collections::BTreeMap, io::Write, sync::Arc};

use opentelemetry_sentry::{SentryBuilder, exporter::DropReason};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use super::{OK, proxy::TRY};
use crate::{
    raw_server::{RawServer, read_request},
    support::{PATIENCE, assert_gave_up, dropped, end_spans, sentry_at},
};

/// A server with a self-signed certificate for this name, and the certificate.
fn server(name: &str) -> (RawServer, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let pem = made.cert.pem();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.into()], key);
    let config = Arc::new(config.expect("a key for the certificate"));
    let server = RawServer::start(([127, 0, 0, 1], 0).into(), move |stream, shared| {
        let connection = ServerConnection::new(Arc::clone(&config)).expect("a valid setup");
        let mut stream = StreamOwned::new(connection, stream);
        if let Some(head) = read_request(&mut stream) {
            shared.saw(head);
            let _ = stream.write_all(OK.as_bytes()); // the client may have gone
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (server, pem)
}

fn sentry_to(server: &RawServer) -> SentryBuilder {
    sentry_at(format!("https://public@{}/1", server.address()))
}

#[test]
fn a_certificate_is_refused_unless_it_is_trusted_and_for_this_server() {
    let (trusted, pem) = server("127.0.0.1");
    let (other, other_pem) = server("127.0.0.1");
    let (misnamed, misnamed_pem) = server("sentry.invalid");
    let cases = [
        ("not trusted", &trusted, None, false),
        ("another one is trusted", &trusted, Some(&other_pem), false),
        ("trusted", &trusted, Some(&pem), true),
        ("trusted among others", &other, Some(&format!("{pem}{other_pem}")), true),
        ("for another name", &misnamed, Some(&misnamed_pem), false),
    ];
    for (name, server, pem, works) in cases {
        let before = server.heads().len();
        let builder = sentry_to(server);
        let builder = if let Some(pem) = pem {
            builder.with_exporter(|exporter| exporter.with_root_certificate(pem.as_str()))
        } else {
            builder
        };
        let sentry = builder.build().unwrap();
        end_spans(&sentry, 1);
        let processor = sentry.span_processor().clone();
        let lost = if works {
            assert_eq!(sentry.flush(PATIENCE), Ok(()), "{name}");
            None
        } else {
            Some((assert_gave_up(sentry.shutdown(TRY), 1, TRY, DropReason::NetworkError), 1))
        };
        assert_eq!(dropped(&processor.stats()), lost.into_iter().collect::<BTreeMap<_, _>>(), "{name}");
        assert_eq!(
            server.heads().len() - before,
            usize::from(works),
            "{name}: nothing is sent to a server that is not trusted"
        );
    }
}

#[test]
fn an_invalid_certificate_is_an_error_when_sentry_is_built() {
    let (server, _) = server("127.0.0.1");
    for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let builder = sentry_to(&server).with_exporter(|exporter| exporter.with_root_certificate(pem));
        assert!(builder.build().is_err(), "{pem:?}");
    }
}
