//! Who may: tables of requests and what becomes of them, through the public face.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use claude_exec_breakglass::access::{
    ForwardAuth, Guard, GuardConfig, Hosts, Method as By, Need, PinnedKeys, Proof, Scope, Scopes, parse_keys,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

const KEY: &str = "a-key-of-the-tests-0123456789abcdef";
const PROXY_SECRET: &str = "a-secret-of-the-proxy-0123456789abcd";
const PROXY: &str = "10.0.0.5";
const ELSEWHERE: &str = "10.0.0.6";

/// Two keys of nobody's, made for these tests with `openssl ecparam -name prime256v1 -genkey`.
const SIGNING: &str = "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420a623af9cc1ff6dbae660e0b4529f4af3ead511fe3fa3f105d3751383401a4613a14403420004498b2c2547a7f87c67c481f1d37ae151f6885b4045ddd953b94b361ad155b8a6cec1a76669d60be379a1895bb6598cd1078f65de294974736a03ac665e2a1e10";
const OTHER: &str = "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420e4c53fc3555a7f664054e0743eb3c3b445b573e83572b79fa80fe869d5380819a14403420004a06b3c903f1d5e679658d8c84fb6fe41cb52d977ce6439c1d2b68bc1707144a4a9c6e728c0d0230ee4246ee8de7d163db470101a2a5dabc17e80c20f9363a2a4";

const ISSUER: &str = "https://auth.example/application/o/breakglass/";
const AUDIENCE: &str = "client-id";

fn signing_key(hex: &str) -> EncodingKey {
    let der: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    EncodingKey::from_ec_der(&der)
}

fn jwks() -> String {
    let mut jwk = Jwk::from_encoding_key(&signing_key(SIGNING), Algorithm::ES256).unwrap();
    jwk.common.key_id = Some("k1".to_owned());
    json!({ "keys": [jwk] }).to_string()
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("bg.example"));
    for (name, value) in lines {
        headers
            .append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

/// The status of the refusal, or who it was and what they may.
fn ask(guard: &Guard, peer: &str, lines: &[(&str, &str)]) -> Result<(String, By, Scopes), u16> {
    let peer: IpAddr = peer.parse().unwrap();
    let uri = Uri::from_static("/api/pve/verbs");
    let admitted = guard.admit(&Method::GET, &uri, &headers(lines), peer, Need::Scope(Scope::Read));
    admitted
        .map(|caller| caller.map(|caller| (caller.name, caller.method, caller.scopes)).unwrap())
        .map_err(|denied| denied.status().as_u16())
}

fn guard(proof: Option<Proof>) -> Guard {
    let forward = proof.map(|proof| {
        let proxy = ForwardAuth::new(["10.0.0.5/32".parse().unwrap(), "fd00::5/128".parse().unwrap()], proof);
        proxy.unwrap().group("breakglass", Scopes::ALL).group("viewers", Scopes::NONE.with(Scope::Read))
    });
    let keys = parse_keys("", &format!("phone:{KEY}")).unwrap();
    let config = GuardConfig::new(Hosts::new(["bg.example"]).unwrap()).keys(keys).forward(forward);
    Guard::new(config).unwrap()
}

/// X3: who is signed in by a proxy is asked where the request comes from; the table of it is `origin`'s own.
#[test]
fn x3_a_signed_in_browser_on_another_site_is_turned_away() {
    let guard = guard(Some(Proof::secret(PROXY_SECRET).unwrap()));
    let signed_in = [
        ("x-authentik-username", "viktor"),
        ("x-authentik-groups", "breakglass"),
        ("x-breakglass-proxy-secret", PROXY_SECRET),
        ("content-type", "application/json"),
        ("x-breakglass", "1"),
    ];
    let uri = Uri::from_static("/api/pve/reset");
    for (origin, expected) in [("https://bg.example", None), ("https://evil.test", Some(403))] {
        let lines = [&signed_in[..], &[("origin", origin)]].concat();
        let peer = PROXY.parse().unwrap();
        let admitted = guard.admit(&Method::POST, &uri, &headers(&lines), peer, Need::Scope(Scope::Power));
        assert_eq!(admitted.err().map(|denied| denied.status().as_u16()), expected, "{origin}");
    }
}

/// X2: the identity header that the original believes, unconditionally, from anybody.
#[test]
fn x2_identity_headers_count_only_from_the_proxy_with_its_proof() {
    let guard = guard(Some(Proof::secret(PROXY_SECRET).unwrap()));
    let user = ("x-authentik-username", "viktor");
    let groups = ("x-authentik-groups", "users|breakglass");
    let secret = ("x-breakglass-proxy-secret", PROXY_SECRET);
    let bearer = format!("Bearer {KEY}");
    let key = ("authorization", bearer.as_str());
    let viktor = Ok(("viktor".to_owned(), By::ProxySecret, Scopes::ALL));
    let phone = Ok(("phone".to_owned(), By::Bearer, Scopes::ALL));
    let long = "x".repeat(129);
    type Row<'r> = (&'r str, Vec<(&'r str, &'r str)>, Result<(String, By, Scopes), u16>);
    let table: Vec<Row<'_>> = vec![
        (PROXY, vec![user, groups, secret], viktor.clone()),
        ("::ffff:10.0.0.5", vec![user, groups, secret], viktor.clone()),
        ("fd00::5", vec![user, groups, secret], viktor.clone()),
        (PROXY, vec![("X-Authentik-Username", "viktor"), groups, secret], viktor),
        // From somewhere else, or without the proof.
        (ELSEWHERE, vec![user, groups, secret], Err(401)),
        (ELSEWHERE, vec![user, groups], Err(401)),
        (ELSEWHERE, vec![user, groups, secret, ("x-forwarded-for", PROXY)], Err(401)),
        (
            ELSEWHERE,
            vec![user, groups, secret, ("forwarded", "for=10.0.0.5"), ("x-real-ip", PROXY)],
            Err(401),
        ),
        ("127.0.0.1", vec![user, groups, secret], Err(401)),
        (PROXY, vec![user, groups], Err(401)),
        (PROXY, vec![user, groups, ("x-breakglass-proxy-secret", "")], Err(401)),
        (PROXY, vec![user, groups, ("x-breakglass-proxy-secret", &PROXY_SECRET[1..])], Err(401)),
        // Nobody named, as after CVE-2026-25748 of authentik.
        (PROXY, vec![secret], Err(401)),
        (PROXY, vec![groups, secret], Err(401)),
        (PROXY, vec![("x-authentik-username", ""), groups, secret], Err(401)),
        (PROXY, vec![("x-authentik-username", "   "), groups, secret], Err(401)),
        (PROXY, vec![("x-authentik-username", &long), groups, secret], Err(401)),
        (PROXY, vec![("x-authentik-username", "\u{e9}"), groups, secret], Err(401)),
        (PROXY, vec![("x-authentik-username", "viktor, root"), groups, secret], Err(401)),
        // Written so that another program reads it as the identity, or twice.
        (PROXY, vec![user, groups, secret, ("x_authentik_username", "root")], Err(400)),
        (PROXY, vec![user, groups, secret, ("x-authentik_username", "root")], Err(400)),
        (PROXY, vec![user, groups, secret, ("X.authentik.username", "root")], Err(400)),
        (PROXY, vec![user, groups, secret, ("x.authentik-username", "root")], Err(400)),
        (PROXY, vec![user, groups, secret, ("x_authentik_groups", "breakglass")], Err(400)),
        (PROXY, vec![user, groups, secret, ("x_authentik_anything", "x")], Err(400)),
        (PROXY, vec![user, groups, ("x_breakglass_proxy_secret", PROXY_SECRET)], Err(400)),
        (PROXY, vec![user, user, groups, secret], Err(400)),
        (PROXY, vec![user, groups, groups, secret], Err(400)),
        (PROXY, vec![user, groups, secret, secret], Err(400)),
        (ELSEWHERE, vec![("x_authentik_username", "root"), key], Err(400)),
        // Groups: whole names between pipes.
        (
            PROXY,
            vec![user, ("x-authentik-groups", "breakglass"), secret],
            Ok(("viktor".into(), By::ProxySecret, Scopes::ALL)),
        ),
        (
            PROXY,
            vec![user, ("x-authentik-groups", "viewers"), secret],
            Ok(("viktor".into(), By::ProxySecret, Scopes::NONE.with(Scope::Read))),
        ),
        (PROXY, vec![user, ("x-authentik-groups", "breakglass-readers"), secret], Err(403)),
        (PROXY, vec![user, ("x-authentik-groups", "Breakglass"), secret], Err(403)),
        (PROXY, vec![user, ("x-authentik-groups", "a,breakglass"), secret], Err(403)),
        (PROXY, vec![user, ("x-authentik-groups", ""), secret], Err(403)),
        (PROXY, vec![user, secret], Err(403)),
        // A key, with and without what a proxy adds.
        (ELSEWHERE, vec![key], phone.clone()),
        (PROXY, vec![key, user, groups, secret], phone.clone()),
        (ELSEWHERE, vec![key, user], phone),
        (ELSEWHERE, vec![("authorization", "Bearer wrong")], Err(401)),
        (PROXY, vec![("authorization", "Bearer wrong"), user, groups, secret], Err(401)),
        (ELSEWHERE, vec![key, key], Err(401)),
        (ELSEWHERE, vec![], Err(401)),
    ];
    for (peer, lines, expected) in table {
        assert_eq!(ask(&guard, peer, &lines), expected, "from {peer}: {lines:?}");
    }
}

/// X2: without a proxy in the configuration no header says who somebody is.
#[test]
fn x2_without_a_proxy_the_headers_mean_nothing() {
    let guard = guard(None);
    let lines = [("x-authentik-username", "viktor"), ("x-authentik-groups", "breakglass")];
    for peer in [PROXY, "127.0.0.1", "::1"] {
        assert_eq!(ask(&guard, peer, &lines), Err(401));
    }
}

#[test]
fn a_signed_identity_is_believed_when_it_is_for_us_and_valid_now() {
    let guard = guard(Some(Proof::Jwt(PinnedKeys::parse(&jwks(), ISSUER, AUDIENCE).unwrap())));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = |change: Value| {
        let mut claims = json!({"iss": ISSUER, "aud": AUDIENCE, "exp": now + 300, "iat": now,
            "preferred_username": "viktor", "groups": ["users", "breakglass"]});
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    let signed = |kid: Option<&str>, key: &str, change: Value| {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::ES256) };
        encode(&header, &claims(change), &signing_key(key)).unwrap()
    };
    let good = signed(Some("k1"), SIGNING, json!({}));
    let without_signature = {
        let mut parts = good.split('.');
        let (_, body) = (parts.next(), parts.next().unwrap());
        // {"alg":"none","typ":"JWT"}
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}.")
    };
    let by_shared_secret = {
        // The public key as the secret of an HMAC: what a careless verifier takes.
        let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::HS256) };
        encode(&header, &claims(json!({})), &EncodingKey::from_secret(jwks().as_bytes())).unwrap()
    };
    let viktor = || Ok(("viktor".to_owned(), By::Jwt, Scopes::ALL));
    let k1 = Some("k1");
    let table = [
        ("good", good.clone(), viktor()),
        ("without a key id", signed(None, SIGNING, json!({})), viktor()),
        ("several audiences", signed(k1, SIGNING, json!({"aud": ["x", AUDIENCE]})), viktor()),
        ("no signature", without_signature, Err(401)),
        ("a shared secret", by_shared_secret, Err(401)),
        ("another key", signed(k1, OTHER, json!({})), Err(401)),
        ("another key id", signed(Some("k2"), SIGNING, json!({})), Err(401)),
        ("another issuer", signed(k1, SIGNING, json!({"iss": "https://evil.test/"})), Err(401)),
        ("another audience", signed(k1, SIGNING, json!({"aud": "another"})), Err(401)),
        ("no audience", signed(k1, SIGNING, json!({"aud": null})), Err(401)),
        ("expired", signed(k1, SIGNING, json!({"exp": now - 60})), Err(401)),
        ("an expiry in words", signed(k1, SIGNING, json!({"exp": "9999999999"})), Err(401)),
        ("not yet valid", signed(k1, SIGNING, json!({"nbf": now + 300})), Err(401)),
        ("nobody", signed(k1, SIGNING, json!({"preferred_username": ""})), Err(401)),
        ("no group", signed(k1, SIGNING, json!({"groups": []})), Err(403)),
        ("cut", good[..good.len() - 4].to_owned(), Err(401)),
        ("nothing", String::new(), Err(401)),
        ("long", "x".repeat(20_000), Err(401)),
    ];
    for (what, token, expected) in table {
        assert_eq!(ask(&guard, PROXY, &[("x-authentik-jwt", &token)]), expected, "{what}");
    }
    let token = ("x-authentik-jwt", good.as_str());
    assert_eq!(ask(&guard, ELSEWHERE, &[token]), Err(401), "from somewhere else");
    assert_eq!(ask(&guard, PROXY, &[token, ("x-authentik-username", "viktor")]), viktor());
    assert_eq!(ask(&guard, PROXY, &[token, ("x-authentik-username", "root")]), Err(400), "two names");
    assert_eq!(ask(&guard, PROXY, &[token, token]), Err(400));
    let plain = [("x-authentik-username", "viktor"), ("x-authentik-groups", "breakglass")];
    assert_eq!(ask(&guard, PROXY, &plain), Err(401), "plain headers alone");
    let more =
        [token, ("x-authentik-groups", "breakglass"), ("x-authentik-meta-jwks", "https://evil.test/jwks")];
    assert_eq!(ask(&guard, PROXY, &more), viktor(), "where the keys are is not the request's to say");
}

#[test]
fn keys_that_prove_nothing_are_refused_at_start() {
    let symmetric = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}]}).to_string();
    for (text, issuer, audience) in [
        ("{}", ISSUER, AUDIENCE),
        (r#"{"keys":[]}"#, ISSUER, AUDIENCE),
        ("nonsense", ISSUER, AUDIENCE),
        (symmetric.as_str(), ISSUER, AUDIENCE),
        (jwks().as_str(), "", AUDIENCE),
        (jwks().as_str(), ISSUER, " "),
    ] {
        assert!(PinnedKeys::parse(text, issuer, audience).unwrap_err().is_invalid(), "{text}");
    }
    for peers in [vec![], vec!["0.0.0.0/0"], vec!["10.0.0.5/32", "::/0"]] {
        let peers: Vec<_> = peers.iter().map(|peer| peer.parse().unwrap()).collect();
        assert!(ForwardAuth::new(peers, Proof::secret(PROXY_SECRET).unwrap()).unwrap_err().is_invalid());
    }
    for secret in ["", "short", "with blanks in it and more than 32 bytes"] {
        assert!(Proof::secret(secret).unwrap_err().is_invalid());
    }
}

/// X5, and the first of the threats: nobody who could prove anything, no server, wherever it listens.
#[test]
fn without_any_credential_there_is_no_guard_on_loopback_neither() {
    let error = Guard::new(GuardConfig::new(Hosts::loopback(8080))).unwrap_err();
    assert!(error.is_invalid() && error.to_string().contains("openssl rand -hex 32"), "{error}");
}

#[test]
fn the_host_is_checked_before_anything_on_every_route() {
    let guard = guard(None);
    let bearer = format!("Bearer {KEY}");
    for need in [Need::Nothing, Need::Scope(Scope::Read)] {
        let mut headers = headers(&[("authorization", &bearer)]);
        let peer = PROXY.parse().unwrap();
        let uri = Uri::from_static("/index.html");
        assert!(guard.admit(&Method::GET, &uri, &headers, peer, need).is_ok());
        headers.insert("host", HeaderValue::from_static("rebound.evil.test"));
        let denied = guard.admit(&Method::GET, &uri, &headers, peer, need).unwrap_err();
        assert_eq!(denied.status().as_u16(), 421);
    }
}

/// X5: scopes, and a name for the audit.
#[test]
fn x5_a_key_may_do_what_its_scopes_say_and_is_known_by_its_name() {
    let digest = "0123456789abcdef".repeat(4);
    let file = format!("reader scopes=read sha256={digest}\n");
    let keys = parse_keys(&file, &format!("chief:{KEY}")).unwrap();
    let guard = Guard::new(GuardConfig::new(Hosts::new(["bg.example"]).unwrap()).keys(keys)).unwrap();
    let bearer = format!("Bearer {KEY}");
    let headers = headers(&[("authorization", &bearer)]);
    let uri = Uri::from_static("/api/pve/commit");
    for scope in Scope::ALL {
        let caller = guard.admit(&Method::POST, &uri, &headers, PROXY.parse().unwrap(), Need::Scope(scope));
        let actor = caller.unwrap().unwrap().actor();
        assert_eq!(
            (actor.who.as_str(), actor.method.as_str(), actor.peer.as_str()),
            ("chief", "bearer", PROXY)
        );
    }
}

/// X7: bytes that are no text are a 401 like any other wrong token.
#[test]
fn x7_a_token_with_strange_bytes_is_a_401() {
    let guard = guard(None);
    assert_eq!(ask(&guard, PROXY, &[("authorization", "Bearer t\u{f6}ken\u{e9}")]), Err(401));
}

#[test]
fn a_peer_that_goes_on_failing_waits_and_whoever_has_a_key_does_not() {
    let guard = guard(None);
    let statuses: Vec<u16> = (0..40).map(|_| ask(&guard, PROXY, &[]).unwrap_err()).collect();
    assert_eq!((statuses[0], statuses[39]), (401, 429));
    let bearer = format!("Bearer {KEY}");
    assert!(ask(&guard, PROXY, &[("authorization", &bearer)]).is_ok(), "the others behind that address");
    assert_eq!(ask(&guard, ELSEWHERE, &[]), Err(401), "another address");
}
