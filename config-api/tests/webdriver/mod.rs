// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's Chromium, steered over WebDriver: a browser as people have one, without a head.

use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What judges whether everybody can use a page, by its name at npm, and the digest of its file.
const AXE: [&str; 2] =
    ["axe-core@4.14.1", "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"];

/// How an element is called on the wire.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How long a condition may take to come true; machines are busy at times.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether pages may run scripts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scripts {
    /// As usual.
    On,
    /// As in a browser that was told so.
    Off,
}

/// A browser with one page.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one with a window as wide as a phone.
    pub fn start(scripts: Scripts) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed by .ci/setup");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok()
            })
            .expect("it says where it listens");
        // Nobody else reads on, and a full pipe would stop it.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self { driver, port, session: String::new(), _profile: profile };
        let mut args = vec![
            "--headless=new".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            format!("--user-data-dir={}", browser._profile.path().display()),
        ];
        if nix::unistd::geteuid().is_root() {
            // Chromium refuses to be root's with its sandbox; it sees our own pages alone.
            args.push("--no-sandbox".to_owned());
        }
        let javascript = if scripts == Scripts::On { 1 } else { 2 };
        let wish = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {
                "binary": "/usr/bin/chromium",
                "args": args,
                "prefs": {"profile.managed_default_content_settings.javascript": javascript},
            },
        }}});
        let answer = browser.send("POST", "/session", Some(&wish));
        browser.session = answer["sessionId"].as_str().expect("a session").to_owned();
        browser.resize(360, 740);
        browser
    }

    /// A window of this size.
    pub fn resize(&self, width: u32, height: u32) {
        let mobile = width < 500;
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}),
        );
    }

    /// As for somebody who wants `light` or `dark`.
    pub fn prefer(&self, scheme: &str) {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.tell("Emulation.setEmulatedMedia", json!({"features": [feature]}));
    }

    /// Opens an address.
    pub fn open(&self, url: &str) {
        self.post("url", &json!({"url": url}));
    }

    /// The address of the page.
    pub fn address(&self) -> String {
        self.get("url").as_str().unwrap().to_owned()
    }

    /// All that can be read on the page.
    pub fn text(&self) -> String {
        self.text_of("body")
    }

    /// What can be read in an element.
    pub fn text_of(&self, selector: &str) -> String {
        let id = self.element(selector);
        self.get(&format!("element/{id}/text")).as_str().unwrap().to_owned()
    }

    /// Clicks.
    pub fn click(&self, selector: &str) {
        let id = self.element(selector);
        self.post(&format!("element/{id}/click"), &json!({}));
    }

    /// Types into an element; a file's path chooses it.
    pub fn enter(&self, selector: &str, text: &str) {
        let id = self.element(selector);
        self.post(&format!("element/{id}/value"), &json!({"text": text}));
    }

    /// Presses keys, wherever the focus is.
    pub fn press(&self, keys: &[&str]) {
        let each = |key: &&str| {
            [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]
        };
        let actions: Vec<Value> = keys.iter().flat_map(each).collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.post("actions", &json!({"actions": [keyboard]}));
    }

    /// What a function's body returns in the page.
    pub fn script(&self, body: &str) -> Value {
        self.post("execute/sync", &json!({"script": body, "args": []}))
    }

    /// Waits until the page says so.
    pub fn wait_for_text(&self, wanted: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            // A page that is being replaced has no text for a moment.
            let text = self.try_text();
            if text.contains(wanted) {
                return;
            }
            assert!(Instant::now() < end, "{wanted:?} is not said: {text}");
            sleep(Duration::from_millis(50));
        }
    }

    fn try_text(&self) -> String {
        let find = json!({"using": "css selector", "value": "body"});
        let found = self.try_post("element", &find);
        let id = found[ELEMENT].as_str().unwrap_or_default();
        let path = format!("/session/{}/element/{id}/text", self.session);
        self.send("GET", &path, None).as_str().unwrap_or_default().to_owned()
    }

    /// A picture of the whole page.
    pub fn picture(&self, file: &Path) {
        let shown = self.tell(
            "Page.captureScreenshot",
            json!({"format": "png", "captureBeyondViewport": true}),
        );
        let png = openssl::base64::decode_block(shown["data"].as_str().unwrap()).unwrap();
        assert!(png.starts_with(b"\x89PNG"));
        std::fs::write(file, png).unwrap();
    }

    /// What axe finds wrong with the page, in both colour schemes.
    pub fn judge(&self, page: &str) {
        let axe = std::fs::read_to_string(axe()).unwrap();
        self.script(&axe);
        for scheme in ["dark", "light"] {
            self.prefer(scheme);
            let run = "const done = arguments[0]; axe.run().then(found => done(\
                {bad: found.violations.map(one => one.id + ': ' + one.nodes.map(n => n.html)), \
                passed: found.passes.length}), failure => done({bad: [String(failure)], passed: 0}));";
            let found = self.post("execute/async", &json!({"script": run, "args": []}));
            assert_eq!(found["bad"], json!([]), "{page}, {scheme}");
            assert!(found["passed"].as_u64().is_some_and(|passed| passed > 10), "{page}: {found}");
            let wide = self.script("return document.documentElement.scrollWidth - innerWidth");
            assert!(wide.as_i64().is_some_and(|wide| wide <= 0), "{page} is too wide by {wide}");
        }
    }

    /// What the browser complained of, but for answers that say no.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.post("se/log", &json!({"type": "browser"}));
        let lines = log.as_array().unwrap().iter().filter_map(|line| line["message"].as_str());
        lines
            .filter(|line| !line.contains("responded with a status of 4"))
            .map(str::to_owned)
            .collect()
    }

    fn element(&self, selector: &str) -> String {
        let found = self.post("element", &json!({"using": "css selector", "value": selector}));
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("{selector}: {found}")).to_owned()
    }

    fn tell(&self, command: &str, params: Value) -> Value {
        self.post("goog/cdp/execute", &json!({"cmd": command, "params": params}))
    }

    fn get(&self, what: &str) -> Value {
        checked(self.send("GET", &format!("/session/{}/{what}", self.session), None))
    }

    fn post(&self, what: &str, body: &Value) -> Value {
        checked(self.try_post(what, body))
    }

    fn try_post(&self, what: &str, body: &Value) -> Value {
        self.send("POST", &format!("/session/{}/{what}", self.session), Some(body))
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.try_send(method, path, body).expect("the driver answers")
    }

    /// The value of an answer.
    fn try_send(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Value> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\ncontent-length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().map_err(io::Error::other)?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut content = vec![0; length];
        reader.read_exact(&mut content)?;
        Ok(serde_json::from_slice::<Value>(&content)?["value"].clone())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser goes with its session; a driver that is gone has none.
        let _ = self.try_send("DELETE", &format!("/session/{}", self.session), None);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn checked(value: Value) -> Value {
    assert!(value["error"].is_null(), "{value}");
    value
}

/// The judge's file, fetched once by its name and kept.
fn axe() -> PathBuf {
    static ONCE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONCE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).unwrap();
    let kept = cache.join("atomix").join(format!("{}.js", AXE[0]));
    let is_right = |path: &Path| {
        std::fs::read(path).is_ok_and(|file| hex::encode(openssl::sha::sha256(&file)) == AXE[1])
    };
    if !is_right(&kept) {
        let dir = tempfile::tempdir().unwrap();
        run(Command::new("npm").args(["pack", "--silent", AXE[0]]).current_dir(dir.path()));
        let packed = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let file = "package/axe.min.js";
        run(Command::new("tar").arg("-xzf").arg(packed).arg(file).current_dir(dir.path()));
        assert!(is_right(&dir.path().join(file)), "npm gave another file");
        std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
        std::fs::copy(dir.path().join(file), &kept).unwrap();
    }
    kept
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
