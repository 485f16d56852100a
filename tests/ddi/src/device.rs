// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device: the real client with its kept state, and hands that only say what they would have done.

use agents::ddi::{
    Action, AttributeMode, BootOutcome, Context, Credentials, DdiState, Effect, Event, FileHasher,
    HttpExchange, HttpWay, InstallEnd, Judged, Keeper, Server, Stage, converse,
};
use agents::{Clock, Keep, Transport};
use anyhow::{Context as _, Result};
use bootctl::SlotId;
use bundle::UnixTime;
use std::collections::BTreeMap;
use storage::{ByteLen, Digest};

/// What the played hands find in every bundle.
const MANIFEST: Digest = Digest::from_bytes([9; 32]);

/// The device.
pub struct Device {
    server: Server,
    exchange: HttpExchange,
    attributes: BTreeMap<String, String>,
    keep: Keep,
    state: DdiState,
    /// The medium: what survives a power cut.
    kept: Vec<u8>,
    /// Everything that the hands were asked to do.
    pub asked: Vec<Effect>,
}

struct Medium<'d>(&'d mut Vec<u8>);

impl Keeper for Medium<'_> {
    type Error = anyhow::Error;

    fn keep(&mut self, state: &DdiState) -> Result<()> {
        *self.0 = serde_json::to_vec(state)?;
        Ok(())
    }
}

impl Device {
    /// A device of this name at the server at `url`, with these credentials, on a board that calls
    /// itself `rock64`.
    ///
    /// # Errors
    /// When the address cannot be one.
    pub fn new(url: &str, name: &str, credentials: Credentials) -> Result<Self> {
        let server = Server::new(url, Transport::PlainForDevelopment, ("DEFAULT", name))?;
        let attributes = [("hw_boardname", "rock64"), ("sw_version", "1.0.0")];
        let named = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        Ok(Self {
            server,
            exchange: HttpExchange::new(credentials, HttpWay::default()),
            attributes: attributes.into_iter().map(named).collect(),
            keep: Keep::Nothing,
            state: DdiState::default(),
            kept: serde_json::to_vec(&DdiState::default())?,
            asked: Vec::new(),
        })
    }

    /// The board is another one.
    #[must_use]
    pub fn on_board(mut self, board: &str) -> Self {
        self.attributes.insert("hw_boardname".to_owned(), board.to_owned());
        self
    }

    /// It has room for bundles as files.
    #[must_use]
    pub fn with_room(mut self) -> Self {
        self.keep = Keep::Bundle;
        self
    }

    /// Something happens; the server is talked to until the hands are wanted.
    ///
    /// # Errors
    /// When the state cannot be kept.
    pub fn event(&mut self, event: Event) -> Result<()> {
        let context = Context {
            server: &self.server,
            attributes: &self.attributes,
            mode: AttributeMode::Merge,
            details: &[],
            clock: Clock { now: UnixTime(1_795_348_800), floor: None, is_set: true },
            keep: self.keep,
        };
        let mut medium = Medium(&mut self.kept);
        let effects = converse(&mut self.state, event, &context, (&self.exchange, &mut medium))?;
        self.asked.extend(effects);
        Ok(())
    }

    /// Time to ask.
    ///
    /// # Errors
    /// As [`Self::event`].
    pub fn poll(&mut self) -> Result<()> {
        self.event(Event::Poll)
    }

    /// The power fails and comes back: only what was kept is left.
    ///
    /// # Errors
    /// When what was kept cannot be read.
    pub fn cut(&mut self) -> Result<()> {
        self.state = DdiState::parse(&self.kept)?;
        self.event(Event::Started)
    }

    /// The action under way.
    ///
    /// # Errors
    /// When there is none.
    pub fn action(&self) -> Result<&Action> {
        self.state.action.as_ref().context("no action is under way")
    }

    /// Whether an action is under way, or something is still to be told.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.state.action.is_none() && self.state.waiting() == 0
    }

    /// The hands judge the offer and begin to install it.
    ///
    /// # Errors
    /// When nothing is offered.
    pub fn begin(&mut self) -> Result<()> {
        let action = self.action()?;
        let (id, size) = (action.id, action.artifact.size.unwrap_or(ByteLen::ZERO));
        self.event(Event::Looked(id, MANIFEST, size))?;
        self.event(Event::Judged(id, Judged::Install))
    }

    /// The whole file was fetched, and these were its bytes.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn fetch(&mut self, bytes: &[u8]) -> Result<()> {
        let id = self.action()?.id;
        let mut hasher = FileHasher::new()?;
        hasher.update(bytes)?;
        self.event(Event::Fetched(id, hasher.finish()?))
    }

    /// All of it is written, with every percent told.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn write(&mut self) -> Result<()> {
        let id = self.action()?.id;
        for percent in 0..=100 {
            self.event(Event::Progress(id, percent))?;
        }
        self.event(Event::Installed(id, InstallEnd::Done(SlotId::B)))
    }

    /// The device was restarted, and this became of the update.
    ///
    /// # Errors
    /// As [`Self::cut`].
    pub fn boot(&mut self, outcome: BootOutcome) -> Result<()> {
        self.cut()?;
        self.event(Event::Booted(outcome))
    }

    /// Whether the action is in this stage.
    #[must_use]
    pub fn is_at(&self, stage: Stage) -> bool {
        self.state.action.as_ref().is_some_and(|action| action.stage == stage)
    }

    /// Whether the hands were asked for something like this since the last question.
    pub fn took(&mut self, wanted: impl Fn(&Effect) -> bool) -> bool {
        std::mem::take(&mut self.asked).iter().any(wanted)
    }
}
