//! Servers and settings that `open` refuses.

use std::process::Command;

use sqlextract_model::Code;

use super::server::free_port;
use super::*;

const SECRET: &str = "m4rker-s3cret";

async fn refused(settings: RedisSettings) -> Failure {
    let failure = RedisCheckpoint::open(settings).await.expect_err("it is refused");
    assert!(!format!("{failure:?}").contains(SECRET), "{failure:?}");
    failure
}

#[tokio::test]
async fn a_server_that_evicts_is_refused_unless_that_is_accepted() {
    let server = Server::with(&["--maxmemory", "64mb", "--maxmemory-policy", "volatile-lru"]).await;
    let failure = refused(server.settings()).await;
    assert_eq!(failure.code, Code::PreflightFailed);
    assert!(failure.message.contains("volatile-lru"), "{failure}");
    let accepted = RedisSettings {
        allow_eviction: true,
        ..server.settings()
    };
    RedisCheckpoint::open(accepted).await.unwrap();
    server.run(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    RedisCheckpoint::open(server.settings()).await.unwrap();
}

#[tokio::test]
async fn a_replica_is_refused() {
    let primary = Server::start().await;
    let replica = Server::start().await;
    replica
        .run(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()])
        .await;
    let failure = refused(replica.settings()).await;
    assert_eq!(failure.code, Code::PreflightFailed, "{failure:?}");
}

#[tokio::test]
async fn a_cluster_of_several_nodes_is_refused() {
    let nodes = [
        Server::with(&["--cluster-enabled", "yes"]).await,
        Server::with(&["--cluster-enabled", "yes"]).await,
    ];
    nodes[0].run(&["CLUSTER", "ADDSLOTSRANGE", "0", "8191"]).await;
    nodes[1].run(&["CLUSTER", "ADDSLOTSRANGE", "8192", "16383"]).await;
    let port = nodes[1].port.to_string();
    nodes[0].run(&["CLUSTER", "MEET", "127.0.0.1", &port]).await;
    let begun = std::time::Instant::now();
    let failure = loop {
        // Until they have met, each takes itself for the only one.
        match RedisCheckpoint::open(nodes[0].settings()).await {
            Err(failure) => break failure,
            Ok(_) => assert!(begun.elapsed() < DEADLINE, "the nodes meet"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(failure.code, Code::PreflightFailed, "{failure:?}");
    assert!(failure.message.contains("2 nodes"), "{failure}");
}

#[tokio::test]
async fn passwords_and_permissions_are_told_apart_from_absence() {
    let server = Server::with(&["--requirepass", SECRET]).await;
    let at = |login: &str| RedisSettings::new(format!("redis://{login}127.0.0.1:{}", server.port));
    for login in ["", ":wrong@", "nobody:wrong@"] {
        assert_eq!(refused(at(login)).await.code, Code::CheckpointRefused, "{login}");
    }
    let right = RedisCheckpoint::open(at(&format!(":{SECRET}@"))).await.unwrap();
    assert!(!format!("{right:?} {:?}", at(&format!(":{SECRET}@"))).contains(SECRET));
    // A user who may do no more than the scripts need.
    let url = format!("redis://:{SECRET}@127.0.0.1:{}", server.port);
    let rule = [
        "ACL",
        "SETUSER",
        "extractor",
        "on",
        &format!(">{SECRET}"),
        "~sqlextract:*",
        "+@all",
        "-@admin",
        "-@dangerous",
        "+info",
    ];
    run_at(&url, &rule).await.unwrap();
    let narrow = RedisCheckpoint::open(at(&format!("extractor:{SECRET}@")))
        .await
        .unwrap();
    narrow.begin(&job(), &[table(2, &[])]).await.unwrap();
    assert_eq!(narrow.complete(&job(), &batch(0), 1, 1).await, recorded(true, 1));
    run_at(&url, &["ACL", "SETUSER", "extractor", "resetkeys", "~other:*"])
        .await
        .unwrap();
    let failure = narrow.complete(&job(), &batch(1), 1, 1).await.unwrap_err();
    assert_eq!(failure.code, Code::CheckpointRefused, "{failure:?}");
    assert!(!format!("{failure:?}").contains(SECRET));

    let nobody = RedisSettings::new(format!("redis://:{SECRET}@127.0.0.1:{}", free_port()));
    let failure = refused(nobody).await;
    assert_eq!(failure.code, Code::CheckpointUnavailable);
}

#[tokio::test]
async fn plain_text_to_another_host_is_refused_before_anything_is_sent() {
    let settings = RedisSettings::new(format!("redis://:{SECRET}@192.0.2.1"));
    assert_eq!(refused(settings).await.code, Code::PlaintextRefused);
}

#[tokio::test]
async fn tls_is_spoken_with_a_server_whose_authority_is_given() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (key, certificate) = (path("key.pem"), path("certificate.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &key, "-out", &certificate])
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = free_port();
    let options = [
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
    ];
    let server = Server::with(
        &[
            &options[..],
            &["--tls-ca-cert-file", &certificate, "--tls-auth-clients", "no"],
        ]
        .concat(),
    )
    .await;
    let trusting = RedisSettings {
        ca_file: Some(certificate.clone().into()),
        ..RedisSettings::new(format!("rediss://localhost:{port}"))
    };
    let checkpoint = RedisCheckpoint::open(trusting.clone()).await.unwrap();
    checkpoint.begin(&job(), &[table(2, &[])]).await.unwrap();
    assert_eq!(checkpoint.complete(&job(), &batch(0), 1, 1).await, recorded(true, 1));
    // Not trusted by the system, and by no other name.
    for settings in [
        RedisSettings::new(format!("rediss://localhost:{port}")),
        RedisSettings {
            url: format!("rediss://127.0.0.1:{port}"),
            ..trusting.clone()
        },
    ] {
        assert_eq!(refused(settings).await.code, Code::CheckpointUnavailable);
    }
    let missing = RedisSettings {
        ca_file: Some(folder.path().join("none.pem")),
        ..trusting
    };
    assert_eq!(refused(missing).await.code, Code::ConfigInvalid);
    drop(server);
}
