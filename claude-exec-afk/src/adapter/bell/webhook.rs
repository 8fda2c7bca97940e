//! A receiver of one's own, by the rules of <https://www.standardwebhooks.com/>.

use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use hmac::{Hmac, Mac};
use http::{HeaderName, HeaderValue};
use serde_json::json;
use sha2::Sha256;

use crate::adapter::Secret;
use crate::adapter::http::{Call, Client, Scheme};
use crate::engine::Clock;
use crate::error::{Error, Result};
use crate::port::{Bell, Notice, Receipt};
use crate::seen::Seen;

const WHAT: &str = "the webhook";
/// The shortest secret: shorter ones can be guessed.
const SECRET_BYTES: usize = 16;

/// An address that takes notices as JSON, signed with a secret that it shares.
///
/// `webhook-id` is the notice's key and the same at every attempt, so the receiver drops repetitions by it;
/// `webhook-signature` is `v1,` and the HMAC-SHA256 in base64 of id, timestamp and body, joined by dots. Any 2xx is
/// "rung". It has no acknowledgements.
pub struct Webhook {
    client: Client,
    secret: Vec<u8>,
    clock: Arc<dyn Clock>,
}

impl Webhook {
    /// The receiver at `url`. A secret that begins with `whsec_` is base64, any other is taken as it is.
    ///
    /// # Errors
    ///
    /// When `url` is no address or has a query, or the secret is shorter than 16 bytes.
    pub fn new(url: &str, secret: &Secret, clock: Arc<dyn Clock>) -> Result<Self> {
        let refuse = |reason: &str| Error::invalid("AFK_WEBHOOK_BELL_SECRET", reason);
        let secret = match secret.expose().strip_prefix("whsec_") {
            Some(text) => data_encoding::BASE64
                .decode(text.as_bytes())
                .map_err(|_| refuse("must be base64 after whsec_"))?,
            None => secret.expose().as_bytes().to_vec(),
        };
        if secret.len() < SECRET_BYTES {
            return Err(refuse("must be at least 16 bytes long"));
        }
        let client = Client::new(WHAT, "AFK_WEBHOOK_BELL_URL", url, None, Scheme::Bearer)?;
        Ok(Self { client, secret, clock })
    }

    async fn rung(&self, notice: &Notice) -> Result<Receipt> {
        let body = json!({
            "type": "afk.notice",
            "key": notice.key,
            "kind": notice.kind,
            "issue": notice.issue.to_string(),
            "title": notice.title,
            "body": notice.body,
            "link": notice.link,
        })
        .to_string();
        let seconds = (self.clock.wall() / 1000).to_string();
        let signature = signature(&self.secret, &notice.key, &seconds, &body)?;
        let header = |text: &str| {
            HeaderValue::from_str(text).map_err(|_| Error::invalid("notice", "its key does not fit a header"))
        };
        let call = Call::post("")
            .header(HeaderName::from_static("webhook-id"), header(&notice.key)?)
            .header(HeaderName::from_static("webhook-timestamp"), header(&seconds)?)
            .header(HeaderName::from_static("webhook-signature"), header(&signature)?)
            .body("application/json", body);
        let answer = self.client.send(&call).await?;
        match answer.status() {
            410 => Err(Error::refused(WHAT, "410: its receiver is gone for good; see AFK_WEBHOOK_BELL_URL")),
            _ => answer.ok().map(|_| Receipt::default()),
        }
    }
}

fn signature(secret: &[u8], id: &str, timestamp: &str, body: &str) -> Result<String> {
    let mac = Hmac::<Sha256>::new_from_slice(secret);
    let mut mac = mac.map_err(|_| Error::invalid("AFK_WEBHOOK_BELL_SECRET", "cannot be used"))?;
    for part in [id, ".", timestamp, ".", body] {
        mac.update(part.as_bytes());
    }
    Ok(format!("v1,{}", data_encoding::BASE64.encode(&mac.finalize().into_bytes())))
}

impl Bell for Webhook {
    fn ring<'a>(&'a self, notice: &'a Notice, _again: bool) -> BoxFuture<'a, Result<Receipt>> {
        self.client.within(self.rung(notice)).boxed()
    }

    fn acknowledged<'a>(&'a self, _receipt: &'a Receipt) -> BoxFuture<'a, Seen<bool>> {
        futures::future::ready(Seen::Absent).boxed()
    }
}

/// Without the address, whose path may be a secret.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification ("Symmetric signatures").
    #[test]
    fn the_specification_s_own_example_is_signed_alike() {
        let secret = data_encoding::BASE64.decode(b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed =
            signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
