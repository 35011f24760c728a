//! The API server's clock, by which objects and events are dated: ours may be off.

use std::time::{Duration, Instant};

use ::kube::{Client, client::Body};
use http::header::DATE;
use jiff::{SignedDuration, Timestamp, fmt::rfc2822::DateTimeParser};

const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
pub struct Clock {
    read: Instant,
    showed: Timestamp,
}

impl Clock {
    /// One request. A server that does not tell the time is taken to have ours.
    pub async fn read(client: &Client) -> Clock {
        let request = http::Request::get("/version").body(Body::empty()).ok();
        let asked = async { client.send(request?).await.ok() };
        let answer = tokio::time::timeout(TIMEOUT, asked).await.ok().flatten();
        let told = answer.as_ref().and_then(|answer| time(answer.headers().get(DATE)?.to_str().ok()?));
        Clock { read: Instant::now(), showed: told.unwrap_or_else(Timestamp::now) }
    }

    /// One that shows our own time.
    #[cfg(test)]
    pub fn ours() -> Clock {
        Clock { read: Instant::now(), showed: Timestamp::now() }
    }

    /// When it was read.
    pub fn began(&self) -> Timestamp {
        whole(self.showed)
    }

    pub fn now(&self) -> Timestamp {
        let since = SignedDuration::try_from(self.read.elapsed()).unwrap_or_default();
        whole(self.showed.saturating_add(since).unwrap_or(self.showed))
    }
}

/// As in an HTTP header.
fn time(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

/// Objects and events are dated with whole seconds, cut off.
fn whole(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_http_date_is_a_time() {
        let wanted: Timestamp = "2026-11-21T02:00:07Z".parse().unwrap();
        assert_eq!(time("Sat, 21 Nov 2026 02:00:07 GMT"), Some(wanted));
        assert_eq!(time("soon"), None);
    }

    #[test]
    fn it_goes_on_and_shows_whole_seconds() {
        let showed: Timestamp = "2026-11-21T02:00:07.9Z".parse().unwrap();
        let read = Instant::now().checked_sub(Duration::from_millis(1200)).unwrap();
        let clock = Clock { read, showed };
        assert_eq!(clock.began(), "2026-11-21T02:00:07Z".parse().unwrap());
        assert_eq!(clock.now(), "2026-11-21T02:00:09Z".parse().unwrap());
    }
}
