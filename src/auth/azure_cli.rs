//! Whoever is signed in to the Azure CLI: `azure_identity` knows how to ask it, our shell runs that, and we read what it says.

use std::ffi::OsStr;
use std::io;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential as _};
use azure_identity::{AzureCliCredential, AzureCliCredentialOptions, Executor};
#[cfg(unix)]
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use super::answer::Fault;
use super::entra::{Entra, Fresh, accept, failed, seconds};
use super::{Method, SignIn, TokenError, hints};
use crate::model::TenantId;

/// az starts a Python of its own and often renews a token first: the ten seconds that SDKs give it are too few on a busy
/// machine.
const LIMIT: Duration = Duration::from_secs(30);

/// Whether there is an az shows at once, unless PATH leads over a network that is down.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// Most that is read of what az says, in bytes; a token has a few thousand.
const LARGEST: u64 = 1024 * 1024;

/// A fresh token. Which tenant az answers for shows in the token only.
pub(super) async fn fresh(entra: &Entra, sign_in: &SignIn) -> Result<Fresh, TokenError> {
    let asked = ask(&entra.scope, sign_in.tenant, Arc::new(Shell)).await.map_err(|fault| failed(sign_in, fault))?;
    let ends = asked.expires_on.unix_timestamp();
    let left = u64::try_from(ends - entra.clock.wall().as_second()).ok().filter(|left| *left > 0);
    let life =
        left.ok_or_else(|| failed(sign_in, Fault::Passing("the Azure CLI gave a token that has ended".to_owned(), None)))?;
    let token: SecretString = asked.token.secret().into();
    Ok(Fresh { bearer: accept(sign_in, Method::AzureCli, token)?, life: Duration::from_secs(life) })
}

/// A new credential object each time; it keeps no token.
async fn ask(scope: &str, tenant: TenantId, shell: Arc<dyn Executor>) -> Result<AccessToken, Fault> {
    let (tenant_id, executor) = (Some(tenant.to_string()), Some(shell));
    let options = AzureCliCredentialOptions { tenant_id, executor, ..AzureCliCredentialOptions::default() };
    let credential = AzureCliCredential::new(Some(options)).map_err(|error| fault(&error.to_string(), tenant))?;
    // What hangs would hang again, so it is not tried at once; a renewal is asked for later all the same.
    let hung = |_| {
        let tried = format!("az account get-access-token --scope {scope} --tenant {tenant}");
        Fault::Permanent(format!("the Azure CLI did not answer within {} s; try it by hand: {tried}", LIMIT.as_secs()))
    };
    let asked = timeout(LIMIT, credential.get_token(&[scope], None)).await.map_err(hung)?;
    asked.map_err(|error| fault(&error.to_string(), tenant))
}

/// az prints pages; the line that counts is marked, or is the first. Only what names its remedy needs a person.
fn fault(said: &str, tenant: TenantId) -> Fault {
    let said = said.trim_start_matches("AzureCliCredential authentication failed. ");
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines().find_map(|line| line.strip_prefix("ERROR: "));
    let line = line.or_else(|| lines().find(|line| !line.starts_with("WARNING"))).unwrap_or("no reason given");
    let body = json!({ "error": "the Azure CLI failed", "error_description": without_tokens(line) });
    let words = hints::explain(&body, &[]).unwrap_or_default();
    if said.contains("not found on PATH") {
        Fault::Permanent("the Azure CLI (az) is not on PATH; install it, or choose another method".to_owned())
    } else if said.contains("expires_on field not found") {
        Fault::Permanent("the Azure CLI is too old to say when its token ends; update it to 2.54 or later".to_owned())
    } else if let Some(wait) = hints::wait(&body) {
        Fault::Passing(words, Some(wait))
    } else if said.contains("az login") || said.contains("AADSTS") {
        Fault::Permanent(format!("{words}; sign in by: az login --tenant {tenant}"))
    } else {
        Fault::Passing(words, None)
    }
}

/// Tokens are JWTs, and every JWT begins with the Base64 of `{"`.
fn without_tokens(line: &str) -> String {
    let words = line.split_whitespace().map(|word| if word.contains("eyJ") { "[redacted]" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Whether az can be run; if not, why that is thought.
pub(super) async fn is_there() -> Result<(), String> {
    let (program, arguments) = if cfg!(windows) { ("where", ["az", "/q"]) } else { ("/bin/sh", ["-c", "command -v az"]) };
    match timeout(LOOK_LIMIT, Shell.run(program.as_ref(), &arguments.map(OsStr::new))).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(_) => Err("az is not on PATH".to_owned()),
        Err(_) => Err(format!("az could not be looked for within {} s", LOOK_LIMIT.as_secs())),
    }
}

/// Runs a program that reads none of our input and does not hear the Ctrl-C that lets us finish in peace. When it is not
/// waited for any more, it ends; on Unix with all that it started, for az itself is a script that starts another program.
#[derive(Debug)]
struct Shell;

#[async_trait]
impl Executor for Shell {
    async fn run(&self, program: &OsStr, arguments: &[&OsStr]) -> io::Result<Output> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        // CREATE_NEW_PROCESS_GROUP.
        #[cfg(windows)]
        command.creation_flags(0x200);
        let mut child = command.spawn()?;
        #[cfg(unix)]
        let group = Group(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));
        let (stdout, stderr) = tokio::try_join!(read(child.stdout.take()), read(child.stderr.take()))?;
        let status = child.wait().await?;
        // What it left behind on purpose may go on.
        #[cfg(unix)]
        std::mem::forget(group);
        Ok(Output { status, stdout: lenient(stdout), stderr })
    }
}

/// What az printed as `azure_identity` wants it: with a `tokenType`, which says nothing, and with the end as a number.
fn lenient(stdout: Vec<u8>) -> Vec<u8> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(&stdout) else { return stdout };
    fields.entry("tokenType").or_insert_with(|| "Bearer".into());
    if let Some(end) = fields.get("expires_on").and_then(seconds) {
        fields.insert("expires_on".to_owned(), end.as_secs().into());
    }
    Value::Object(fields).to_string().into_bytes()
}

/// What a program says, to a limit; then nobody listens any more.
async fn read(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut said = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(LARGEST).read_to_end(&mut said).await?;
    }
    Ok(said)
}

/// A program, not yet waited for, and all that it started. Dropped, they end.
#[cfg(unix)]
struct Group(Option<Pid>);

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Whoever has ended already need not.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;
    use crate::auth::fake;

    const SCOPE: &str = "https://graph.microsoft.com/.default";

    /// Ends as it is told, if it is asked for the tenant and the scope.
    #[derive(Debug)]
    struct Az(i32, &'static str, &'static str);

    #[async_trait]
    impl Executor for Az {
        async fn run(&self, _: &OsStr, arguments: &[&OsStr]) -> io::Result<Output> {
            let wanted = format!("az account get-access-token -o json --scope {SCOPE} --tenant {}", fake::TENANT);
            assert!(arguments[1].to_string_lossy().ends_with(&wanted), "{arguments:?}");
            Ok(Output { status: ExitStatus::from_raw(self.0 << 8), stdout: self.1.into(), stderr: self.2.into() })
        }
    }

    async fn said(code: i32, out: &'static str, err: &'static str) -> Fault {
        ask(SCOPE, fake::tenant(), Arc::new(Az(code, out, err))).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_token_comes_with_the_moment_of_its_end() {
        let out = r#"{"accessToken":"t0ken","expiresOn":"2026-11-22 13:00:00","expires_on":1795352400,"tokenType":"Bearer"}"#;
        let asked = ask(SCOPE, fake::tenant(), Arc::new(Az(0, out, "WARNING: x"))).await.unwrap();
        assert_eq!((asked.token.secret(), asked.expires_on.unix_timestamp()), ("t0ken", 1_795_352_400));
    }

    #[test]
    fn what_nobody_needs_may_be_missing() {
        let read = |text: &str| serde_json::from_slice::<Value>(&lenient(text.into())).unwrap();
        let whole = json!({"accessToken": "t0ken", "expires_on": 1_795_352_400, "tokenType": "Bearer"});
        assert_eq!(read(r#"{"accessToken":"t0ken","expires_on":"1795352400"}"#), whole);
        assert_eq!(read(&whole.to_string()), whole);
        assert_eq!(lenient(b"/usr/bin/az\n".to_vec()), b"/usr/bin/az\n");
    }

    #[tokio::test]
    async fn what_a_person_must_mend_says_how() {
        let login = format!("sign in by: az login --tenant {}", fake::TENANT);
        let ended = "WARNING: old\nERROR: AADSTS700082: The refresh token has expired due to inactivity. Trace ID: 7-7\nmore\n\
                     Interactive authentication is needed. Please run:\naz login --scope x\n";
        let old = r#"{"accessToken":"t0ken","expiresOn":"2026-11-22 13:00:00","tokenType":"Bearer"}"#;
        for (code, out, err, wanted) in [
            (127, "", "/bin/sh: 1: az: not found", "is not on PATH; install it"),
            (1, "", "ERROR: Please run 'az login' to setup account.", login.as_str()),
            (1, "", ended, "the Azure CLI failed, AADSTS700082: the person's sign-in has ended or was revoked; sign in again"),
            (1, "", ended, login.as_str()),
            (0, old, "", "update it to 2.54"),
        ] {
            let Fault::Permanent(words) = said(code, out, err).await else { unreachable!("{err}") };
            assert!(words.contains(wanted) && !words.contains('\n') && !words.contains("t0ken"), "{words}");
        }
    }

    #[tokio::test]
    async fn anything_else_may_pass_and_no_token_is_quoted() {
        for (code, out, err) in [
            (1, "", "WARNING: x\n\nERROR: connection reset with eyJhbGciOi.eyJ0aWQi.c2ln in it"),
            (0, r#"{"accessToken":"x","expires_on":"eyJhbGciOi.eyJ0aWQi.c2ln","tokenType":"Bearer"}"#, ""),
            (0, "", ""),
        ] {
            let Fault::Passing(words, None) = said(code, out, err).await else { unreachable!("{err}") };
            assert!(words.starts_with("the Azure CLI failed") && !words.contains("eyJ"), "{words}");
        }
    }

    #[tokio::test]
    async fn who_is_throttled_is_not_asked_to_sign_in() {
        let Fault::Passing(words, Some(wait)) = said(1, "", "ERROR: AADSTS50196: A loop. Run az login.").await else {
            unreachable!()
        };
        assert!(words.contains("too many sign-ins") && wait == Duration::from_mins(1), "{words}");
    }

    #[tokio::test]
    async fn what_is_given_up_ends_with_all_that_it_started_and_what_never_stops_talking_is_cut_off() {
        let home = tempfile::tempdir().unwrap();
        let fifo = home.path().join("alive");
        let script = format!("mkfifo {0} && {{ sleep 60 > {0} & wait; }}", fifo.display());
        let run = tokio::spawn(async move { Shell.run("/bin/sh".as_ref(), &["-c".as_ref(), script.as_ref()]).await });
        while !fifo.exists() && !run.is_finished() {
            tokio::task::yield_now().await;
        }
        let alive = tokio::task::spawn_blocking(move || std::fs::File::open(fifo)).await.unwrap().unwrap();
        run.abort();
        assert!(run.await.unwrap_err().is_cancelled());
        let mut alive = tokio::net::unix::pipe::Receiver::from_file(alive).unwrap();
        let ended = timeout(Duration::from_secs(30), alive.read(&mut [0])).await;
        assert_eq!(ended.unwrap().unwrap(), 0, "nobody holds the other end");

        let endless = Shell.run("/bin/sh".as_ref(), &["-c".as_ref(), "yes".as_ref()]).await.unwrap();
        assert_eq!(endless.stdout.len(), 1024 * 1024);
    }

    #[tokio::test]
    async fn what_is_run_gets_none_of_our_input_and_is_no_part_of_our_group() {
        let script = "cat; ps -o pgid= -p $$ | tr -d ' '; echo $$".as_ref();
        let output = Shell.run("/bin/sh".as_ref(), &["-c".as_ref(), script]).await.unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        let (group, own) = lines.trim().split_once('\n').unwrap();
        assert_eq!(group, own);
    }
}
