//! The servers of the tests as containers, for machines that have a Docker engine and not the servers. `tests/run` starts it
//! where that is so: it prints an `export` a line for each address, then an empty line, and keeps the containers until its
//! standard input ends.
#![expect(clippy::print_stdout, reason = "the addresses are what this program is for")]

use std::error::Error;
use std::io::{self, Read, Write};

use sqlextract_system_tests::secrets::PASSWORD;
use testcontainers::core::{ContainerPort, IntoContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt};

type Started = Result<(ContainerAsync<GenericImage>, String), Box<dyn Error>>;

/// A server, and the form of its URL with `PASSWORD`, `HOST` and `PORT` to be filled in.
struct Server {
    variable: &'static str,
    url: &'static str,
    port: ContainerPort,
    request: ContainerRequest<GenericImage>,
}

fn postgres(variable: &'static str, version: &str) -> Server {
    // The image starts the server twice; only the second time it listens to others.
    let up = WaitFor::message_on_stderr("listening on IPv4 address");
    Server {
        variable,
        url: "postgres://postgres:PASSWORD@HOST:PORT/postgres",
        port: 5432.tcp(),
        request: GenericImage::new("postgres", version)
            .with_exposed_port(5432.tcp())
            .with_wait_for(up)
            .with_env_var("POSTGRES_PASSWORD", PASSWORD)
            .with_cmd(["postgres", "-c", "max_connections=300"]),
    }
}

fn servers() -> [Server; 5] {
    [
        postgres("SQLEXTRACT_TEST_POSTGRES", "15"),
        postgres("SQLEXTRACT_TEST_NEWER_POSTGRES", "17"),
        Server {
            variable: "SQLEXTRACT_TEST_MYSQL",
            url: "mysql://root:PASSWORD@HOST:PORT/mysql",
            port: 3306.tcp(),
            request: GenericImage::new("mariadb", "10.11")
                .with_exposed_port(3306.tcp())
                .with_wait_for(WaitFor::message_on_stderr("port: 3306"))
                .with_env_var("MARIADB_ROOT_PASSWORD", PASSWORD),
        },
        Server {
            variable: "SQLEXTRACT_TEST_RABBITMQ",
            url: "amqp://scratch:PASSWORD@HOST:PORT/%2f",
            port: 5672.tcp(),
            request: GenericImage::new("rabbitmq", "3.13")
                .with_exposed_port(5672.tcp())
                .with_wait_for(WaitFor::message_on_stdout("Server startup complete"))
                .with_env_var("RABBITMQ_DEFAULT_USER", "scratch")
                .with_env_var("RABBITMQ_DEFAULT_PASS", PASSWORD),
        },
        Server {
            variable: "SQLEXTRACT_TEST_REDIS",
            url: "redis://default:PASSWORD@HOST:PORT/0",
            port: 6379.tcp(),
            request: GenericImage::new("redis", "7.2")
                .with_exposed_port(6379.tcp())
                .with_wait_for(WaitFor::message_on_stdout("Ready to accept connections"))
                .with_cmd([
                    "redis-server",
                    "--requirepass",
                    PASSWORD,
                    "--save",
                    "",
                    "--appendonly",
                    "no",
                ]),
        },
    ]
}

async fn start(server: Server) -> Started {
    let container = server.request.start().await?;
    let host = container.get_host().await?.to_string();
    let port = container.get_host_port_ipv4(server.port).await?;
    let url = server.url.replace("PASSWORD", PASSWORD).replace("HOST", &host);
    let url = url.replace("PORT", &port.to_string());
    Ok((container, format!("export {}='{url}'", server.variable)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut containers = Vec::new();
    for server in servers() {
        let given = std::env::var_os(server.variable).is_some_and(|address| !address.is_empty());
        if given {
            continue;
        }
        let (container, export) = start(server).await?;
        println!("{export}");
        containers.push(container);
    }
    println!();
    io::stdout().flush()?;
    tokio::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new())).await??;
    for container in containers {
        container.rm().await?;
    }
    Ok(())
}
