//! How we are let in: by a token, or by a credential that is exchanged for one.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::reply::{self, Reply, WHAT};
use super::wire::Granted;
use crate::adapter::http::{Call, Client, Scheme, segment};
use crate::adapter::{Secret, Token};
use crate::config::Settings;
use crate::error::{Error, Result};

/// What the loop needs, and no more.
const SCOPE: &str = "orchestration:read orchestration:operate";

/// What lets us in.
#[derive(Debug, Clone)]
pub(super) struct Access {
    /// Read again for every request.
    pub(super) token: Token,
    /// Where a pairing credential may be, and where the token goes that it is exchanged for.
    exchange: Option<Exchange>,
}

#[derive(Debug, Clone)]
struct Exchange {
    credential: PathBuf,
    token: PathBuf,
}

impl Access {
    /// Takes `AFK_T3_TOKEN` or `AFK_T3_TOKEN_FILE`, and `AFK_T3_CREDENTIAL_FILE`.
    pub(super) fn take(settings: &mut Settings) -> Result<Self> {
        let credential = settings.text("AFK_T3_CREDENTIAL_FILE").map(PathBuf::from);
        let token = Token::take(settings, "AFK_T3_TOKEN", "AFK_T3_TOKEN_FILE")?;
        let token = token.ok_or_else(|| {
            let how = "or AFK_T3_TOKEN_FILE must be set: `t3 auth session issue --token-only` prints one";
            Error::invalid("AFK_T3_TOKEN", how)
        })?;
        let exchange = match (credential, &token) {
            (None, _) => None,
            (Some(credential), Token::File(file)) => Some(Exchange { credential, token: file.clone() }),
            (Some(_), Token::Fixed(_)) => {
                let reason = "needs AFK_T3_TOKEN_FILE, where the token goes that it is exchanged for";
                return Err(Error::invalid("AFK_T3_CREDENTIAL_FILE", reason));
            }
        };
        Ok(Self { token, exchange })
    }

    /// A token as it is.
    pub(super) fn token(secret: Secret) -> Self {
        Self { token: Token::Fixed(secret), exchange: None }
    }

    /// Exchanges the credential, when there is one, and keeps the token; whether it did.
    pub(super) async fn renew(&self, base: &str) -> Result<bool> {
        let Some(exchange) = &self.exchange else { return Ok(false) };
        let Ok(credential) = Token::File(exchange.credential.clone()).read() else { return Ok(false) };
        let token = self::exchange(base, &credential).await?;
        keep(&exchange.token, &token)
            .map_err(|error| Error::unavailable(WHAT, format_args!("AFK_T3_TOKEN_FILE: {error}"), None))?;
        // It is spent; another one is put there when that token has run out.
        let _ = std::fs::remove_file(&exchange.credential);
        tracing::info!(file = %exchange.token.display(), "a pairing credential was exchanged for a T3 token");
        Ok(true)
    }
}

/// Exchanges a pairing credential (RFC 8693) for a token. It can be used once, within five minutes.
///
/// # Errors
///
/// Refused, when it was used, has expired or is none.
pub(super) async fn exchange(base: &str, credential: &Secret) -> Result<Secret> {
    let client = Client::new(WHAT, "AFK_T3_URL", base, None, Scheme::Bearer)?;
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", credential.expose()),
        ("subject_token_type", "urn:t3:params:oauth:token-type:environment-bootstrap"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("scope", SCOPE),
        ("client_label", "claude-exec-afk"),
        ("client_device_type", "bot"),
        ("client_os", std::env::consts::OS),
    ];
    let pairs = form.map(|(name, value)| format!("{name}={}", segment(value)));
    let call = Call::post("/oauth/token").body("application/x-www-form-urlencoded", pairs.join("&"));
    let answer = client.send(&call).await?;
    let content_type = answer.header("content-type").unwrap_or_default();
    let reply = Reply { status: answer.status(), content_type, body: answer.bytes() };
    let granted: Granted = reply::decode(reply::json(&reply)?)?;
    if granted.token_type != "Bearer" {
        return Err(Error::unsupported("T3 gave a token that is no bearer token"));
    }
    granted.access_token.parse()
}

/// Writes a file that only we can read, whole or not at all.
fn keep(path: &Path, secret: &Secret) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let _ = std::fs::remove_file(&new);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(secret.expose().as_bytes())?;
    file.sync_all()?;
    std::fs::rename(new, path)
}
