//! The configuration of the edge's nginx, 1.27.4 or newer, as text.

use std::{collections::BTreeMap, fmt::Write};

use super::{Backend, HTTP, HTTPS};

/// Where the certificate is mounted, where files may be written, and for probes.
pub const TLS: &str = "/etc/edge-tls";
pub const SCRATCH: &str = "/tmp";
pub const HEALTH: u16 = 8081;
/// Seconds that requests may still take once the edge is told to quit.
pub const DRAIN: u64 = 25;

/// Starts nginx. The DNS server is taken from where the pod has it: nginx knows no such thing, and a name for it could
/// not be resolved while the cluster's DNS is still starting.
pub const START: &str = r#"#!/bin/sh
set -eu
servers=
while read -r word value rest; do
    case "$word:$value" in
        nameserver:*:*) servers="$servers [$value]" ;;
        nameserver:*) servers="$servers $value" ;;
    esac
done < "${RESOLV_CONF:-/etc/resolv.conf}"
echo "resolver$servers valid=5s;" > /tmp/resolver.conf
# nginx asks as it starts, and then not before its time-out: the DNS of a cluster that was just made may still be silent.
tries=0
while [ -n "${AWAITED_NAME:-}" ] && [ $tries -lt 40 ] && ! RES_OPTIONS='timeout:1 attempts:1' getent hosts "$AWAITED_NAME" > /dev/null; do
    tries=$((tries + 1))
    sleep 0.5
done
exec nginx -e stderr -c /etc/edge/nginx.conf
"#;

const HEAD: &str = r#"# Made from the routes of stack.yaml.
daemon off;
worker_processes 2;
worker_shutdown_timeout 25s;
pid /tmp/nginx.pid;
error_log stderr warn;

events {
    worker_connections 2048;
}

http {
    default_type application/octet-stream;
    server_tokens off;
    # The port that clients see is not the one that is listened on.
    absolute_redirect off;
    include /tmp/resolver.conf;
    resolver_timeout 5s;

    # Bodies pass through; what could need a file has a place that may be written to.
    client_max_body_size 0;
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;

    # A connection that was used in the last seconds is not closed when the edge quits, but with its next answer: else
    # a request that is already on its way would be lost.
    keepalive_timeout 75s;
    keepalive_min_timeout 5s;
    keepalive_requests 100000;
    large_client_header_buffers 4 16k;

    uninitialized_variable_warn off;
    log_format json escape=json '{"time":"$time_iso8601","level":"info","message":"request",'
        '"method":"$request_method","path":"$uri","status":$status,"seconds":$request_time,"bytes":$body_bytes_sent,'
        '"route":"$route","upstream":"$upstream_addr","upstream_status":"$upstream_status",'
        '"upstream_seconds":"$upstream_response_time","host":"$http_host","client":"$remote_addr",'
        '"protocol":"$server_protocol","user_agent":"$http_user_agent","request_id":"$request_id",'
        '"trace_id":"$trace_id"}';
    access_log /dev/stdout json;

    map $http_traceparent $trace_id {
        default "";
        "~^[0-9a-f]{2}-(?<trace>[0-9a-f]{32})-" $trace;
    }
    map $http_upgrade $connection_header {
        default upgrade;
        "" "";
    }
    # The port that clients see. Whoever publishes the edge elsewhere keeps to pairs: 80 and 443, 8080 and 8443,
    # 18080 and 18443.
    map $http_host $https_port {
        default "";
        "~:(?<thousands>[0-9]+)080$" ":${thousands}443";
        "~:(?!80$)[0-9]+$" ":8443";
    }
    map $http_host $seen_port {
        default 443;
        "~:(?<port>[0-9]+)$" $port;
    }
"#;

const SERVERS: &str = r#"
    server {
        listen 8081;
        access_log off;
        location = /healthz {
            default_type text/plain;
            return 200 "ok\n";
        }
        location / {
            return 404;
        }
    }

    server {
        listen 8080 default_server;
        set $route "";
        # Not for good: what a browser remembers of localhost outlives this stack.
        if ($http_host = "") {
            return 400;
        }
        return 307 https://$host$https_port$request_uri;
    }

    server {
        listen 8443 ssl default_server;
        http2 on;
        ssl_certificate /etc/edge-tls/tls.crt;
        ssl_certificate_key /etc/edge-tls/tls.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;
        ssl_prefer_server_ciphers off;
        ssl_session_cache shared:tls:2m;
        ssl_session_timeout 1h;
        ssl_session_tickets off;

        # Plain HTTP on this port: the same address over TLS, whatever port the client sees.
        error_page 497 =307 https://$http_host$request_uri;

        set $route "";
        set $prefix "";
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Connection $connection_header;
        proxy_set_header Upgrade $http_upgrade;
        # What a client claims about itself counts for nothing.
        proxy_set_header Forwarded "";
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto https;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Forwarded-Port $seen_port;
        proxy_set_header X-Forwarded-Prefix $prefix;
        proxy_set_header X-Request-ID $request_id;
        proxy_connect_timeout 5s;
        proxy_next_upstream error timeout;
        proxy_next_upstream_tries 3;
        proxy_next_upstream_timeout 10s;
"#;

/// The whole file. Nothing in it depends on the order in which things were found.
pub fn text(backends: &[Backend]) -> String {
    debug_assert!(HEAD.contains(&format!("worker_shutdown_timeout {DRAIN}s")) && HEAD.contains(SCRATCH));
    debug_assert!([HTTP, HTTPS, HEALTH].iter().all(|port| SERVERS.contains(&format!("listen {port}"))));
    debug_assert!(SERVERS.contains(TLS));
    let mut out = HEAD.to_owned();
    let mut upstreams: BTreeMap<String, String> = BTreeMap::new();
    for backend in backends {
        upstreams.entry(upstream(backend)).or_insert_with(|| address(backend));
    }
    for (name, address) in &upstreams {
        // Resolved while it runs: a service may come later than the edge, and come again under another address.
        let _ = write!(
            out,
            "\n    upstream {name} {{\n        zone {name} 64k;\n        server {address} resolve max_fails=0;\n        \
             keepalive 32;\n        keepalive_timeout 30s;\n    }}\n"
        );
    }
    for (index, backend) in backends.iter().enumerate().filter(|(_, backend)| strips(backend)) {
        let path = pattern(&backend.route.path);
        // From the request line, so that the service sees the path as it was written: %2F is not /.
        let _ = write!(
            out,
            "\n    map $request_uri $target{index} {{\n        default \"\";\n        \"~^{path}(?<rest{index}>/.*)$\" \
             $rest{index};\n        \"~^{path}(?<query{index}>[?].*)?$\" /$query{index};\n    }}\n"
        );
    }
    out.push_str(SERVERS);
    for (index, backend) in backends.iter().enumerate() {
        location(&mut out, index, backend);
    }
    if !backends.iter().any(|backend| backend.route.path == "/") {
        let links: Vec<_> = backends.iter().map(|backend| backend.route.path.as_str()).collect();
        let links: String = links.iter().map(|path| format!("<li><a href=\"{path}/\">{path}</a></li>")).collect();
        let _ = write!(
            out,
            "\n        location = / {{\n            default_type text/html;\n            return 200 '<!doctype \
             html><title>Routes</title><ul>{links}</ul>';\n        }}\n        location / {{\n            return \
             404;\n        }}\n"
        );
    }
    out.push_str("    }\n}\n");
    out
}

fn strips(backend: &Backend) -> bool {
    backend.route.strip && backend.route.path != "/"
}

fn upstream(backend: &Backend) -> String {
    let route = &backend.route;
    format!("{}.{}-{}", route.service, route.namespace, route.port)
}

fn address(backend: &Backend) -> String {
    let route = &backend.route;
    format!("{}.{}.svc.cluster.local:{}", route.service, route.namespace, route.port)
}

/// A path consists of letters, digits and `/-_.~`, of which only the point means something in a pattern.
fn pattern(path: &str) -> String {
    path.replace('.', "[.]")
}

fn location(out: &mut String, index: usize, backend: &Backend) {
    let route = &backend.route;
    let mut body = Vec::new();
    body.push(format!("set $route {};", route.path));
    let upstream = upstream(backend);
    if strips(backend) {
        body.push(format!("set $prefix {};", route.path));
        // A path that only becomes this one when it is tidied up, such as //hello.
        body.push(format!("if ($target{index} = \"\") {{ return 404; }}"));
        body.push(format!("proxy_pass http://{upstream}$target{index};"));
        body.push(format!("proxy_redirect / {}/;", route.path));
        body.push(format!("proxy_redirect http://$http_host/ https://$http_host{}/;", route.path));
        body.push(format!("proxy_redirect https://$http_host/ https://$http_host{}/;", route.path));
        body.push(format!("proxy_cookie_path / {}/;", route.path));
    } else {
        body.push(format!("proxy_pass http://{upstream};"));
        body.push("proxy_redirect http://$http_host/ https://$http_host/;".to_owned());
    }
    let milliseconds = route.timeout.as_millis().max(1);
    body.push(format!("proxy_read_timeout {milliseconds}ms;"));
    body.push(format!("proxy_send_timeout {milliseconds}ms;"));
    let matches = match route.path.as_str() {
        "/" => vec!["/".to_owned()],
        path => vec![format!("= {path}"), format!("{path}/")],
    };
    for matching in matches {
        let _ = write!(out, "\n        location {matching} {{\n");
        for line in &body {
            let _ = writeln!(out, "            {line}");
        }
        out.push_str("        }\n");
    }
}
