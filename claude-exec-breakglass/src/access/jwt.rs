//! The signed identity of the proxy: `X-authentik-jwt`, against pinned keys.

use std::fmt;
use std::time::{Duration, SystemTime};

use claude_exec::{Error, Result};
use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

const FIELD: &str = "BREAKGLASS_JWKS_FILE";

/// Signatures by a key that only the identity provider has. With a shared secret (HS256, the provider's default
/// without a signing key) whoever verifies could sign too; and `none` is no signature.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Clocks of two machines differ by this much, in seconds.
const LEEWAY: u64 = 30;

/// Longer tokens are none of an identity provider's.
const TOKEN_BYTES: usize = 16 * 1024;

/// The keys that an identity provider signs with, from a file: never from an address that a request names.
#[derive(Clone)]
pub struct PinnedKeys {
    keys: Vec<(Option<String>, Vec<Algorithm>, DecodingKey)>,
    issuer: String,
    audience: String,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Claims {
    #[serde(default)]
    preferred_username: String,
    #[serde(default)]
    groups: Vec<String>,
    exp: u64,
}

impl Claims {
    pub(super) fn name(&self) -> &str {
        &self.preferred_username
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(String::as_str)
    }

    pub(super) fn expires(&self) -> SystemTime {
        let end = Duration::from_secs(self.exp);
        SystemTime::UNIX_EPOCH.checked_add(end).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl PinnedKeys {
    /// Reads a JSON Web Key Set (RFC 7517), of tokens by `issuer` for `audience`, which is the client id of the
    /// provider.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) for a set that cannot be read or has no key for a signature that only the
    /// provider can make, and for an empty issuer or audience.
    pub fn parse(text: &str, issuer: &str, audience: &str) -> Result<Self> {
        for (field, value) in [("BREAKGLASS_JWT_ISSUER", issuer), ("BREAKGLASS_JWT_AUDIENCE", audience)] {
            if value.trim().is_empty() {
                return Err(Error::invalid(
                    field,
                    "must be set: a token for another service is none for this one",
                ));
            }
        }
        let set: JwkSet = serde_json::from_str(text)
            .map_err(|error| Error::invalid(FIELD, format!("no JSON Web Key Set: {error}")))?;
        let mut keys = Vec::new();
        for jwk in &set.keys {
            let Some(key) = usable(jwk) else { continue };
            keys.push(key);
        }
        if keys.is_empty() {
            let hint = "no key in it can be used; the provider needs a Signing Key (RSA, EC or Ed25519), \
                        otherwise it signs with a shared secret and its set is empty";
            return Err(Error::invalid(FIELD, hint));
        }
        Ok(Self { keys, issuer: issuer.trim().to_owned(), audience: audience.trim().to_owned() })
    }

    /// What `token` says, when one of the keys has signed it for us and it is valid by this machine's clock.
    pub(super) fn verify(&self, token: &str) -> std::result::Result<Claims, &'static str> {
        if token.len() > TOKEN_BYTES {
            return Err("too long");
        }
        let header = decode_header(token).map_err(|_| "no token")?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err("signed in a way that is not accepted");
        }
        let fits = |(id, algorithms, _): &&(Option<String>, Vec<Algorithm>, DecodingKey)| {
            algorithms.contains(&header.alg) && (header.kid.is_none() || *id == header.kid)
        };
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let mut why = "signed with a key that is not pinned";
        for (_, _, key) in self.keys.iter().filter(fits) {
            match decode::<Claims>(token, key, &validation) {
                Ok(token) => return Ok(token.claims),
                Err(error) => {
                    why = match error.kind() {
                        jsonwebtoken::errors::ErrorKind::ExpiredSignature => "expired",
                        jsonwebtoken::errors::ErrorKind::InvalidSignature => "not signed with a pinned key",
                        _ => "not for this service, or not valid now",
                    }
                }
            }
        }
        Err(why)
    }
}

/// The key, and the algorithms that it may sign with.
fn usable(jwk: &jsonwebtoken::jwk::Jwk) -> Option<(Option<String>, Vec<Algorithm>, DecodingKey)> {
    let family: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &ALGORITHMS[..6],
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            jsonwebtoken::jwk::EllipticCurve::P256 => &[Algorithm::ES256],
            jsonwebtoken::jwk::EllipticCurve::P384 => &[Algorithm::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(_) => &[Algorithm::EdDSA],
        _ => return None,
    };
    // A key that says which algorithm it is for is for no other.
    let named = jwk.common.key_algorithm.map(|algorithm| algorithm.to_string());
    let algorithms: Vec<Algorithm> = match named {
        Some(name) => family.iter().copied().filter(|algorithm| format!("{algorithm:?}") == name).collect(),
        None => family.to_vec(),
    };
    let key = DecodingKey::from_jwk(jwk).ok()?;
    (!algorithms.is_empty()).then(|| (jwk.common.key_id.clone(), algorithms, key))
}

/// Shows how many keys there are, and whose.
impl fmt::Debug for PinnedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedKeys")
            .field("keys", &self.keys.len())
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish()
    }
}
