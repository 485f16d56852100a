// SPDX-License-Identifier: MIT OR Apache-2.0
//! One image of a plan on its way into its slot: from its beginning, or from where an interrupted
//! install left it.

use crate::group_writer::UnsealedGroup;
use crate::image_opener::Incoming;
use crate::meter::Meter;
use crate::prefix::{Begun, prove};
use crate::resume::{Reached, ResumeKeeper};
use crate::slot_writer::{DurableSlot, OpenSlot, WriteWatch, write_image};
use crate::{InstallError, InstallStep, OpenImage, PlannedImage};
use storage::{ByteLen, Digest};

/// What is told while one image is written.
pub(crate) struct Watch<'a, 'm, 'k> {
    pub meter: &'a mut Meter<'m>,
    pub keeper: &'a mut ResumeKeeper<'k>,
    pub planned: &'a PlannedImage,
}

impl WriteWatch for Watch<'_, '_, '_> {
    fn passed(&mut self, bytes: u64) -> Result<(), InstallError> {
        self.meter.pass(bytes)
    }

    fn mark_every(&self) -> Option<u64> {
        self.keeper.every()
    }

    fn durable(&mut self, bytes: u64, prefix: Digest) {
        let (slot, image) = (&self.planned.slot.name, self.planned.digest);
        let meter = &mut *self.meter;
        let reached = Reached { image, bytes, prefix };
        self.keeper.reached(slot, reached, &mut |text| meter.note(text));
    }
}

impl Watch<'_, '_, '_> {
    /// Whether an image must be fetched as a whole, because what its slot held when it began was not
    /// what the note said, however well it was made. Nothing is claimed for it any more.
    pub fn doubts(&mut self, written: &Result<DurableSlot, InstallError>) -> bool {
        let slot = &self.planned.slot.name;
        if !matches!(written, Err(InstallError::WrongImage { .. })) {
            return false;
        }
        let went_on = self.keeper.went_on();
        let meter = &mut *self.meter;
        self.keeper.forget(slot, &mut |text| meter.note(text));
        if went_on {
            meter.note(format!(
                "what {slot} held of the image was not the image: fetching all of it"
            ));
            meter.expect(self.planned.size);
        }
        went_on
    }

    /// What the slot holds of the image already, and the rest of it.
    fn go_on<'i>(
        &mut self,
        open: &OpenSlot,
        incoming: &'i Incoming<'_>,
        hold_back: usize,
    ) -> Result<Option<(Begun, OpenImage<'i>)>, InstallError>
    where
        Self: 'i,
    {
        let planned = self.planned;
        let Some(claim) = self.keeper.claim(planned) else { return Ok(None) };
        let meter = &mut *self.meter;
        let start = ByteLen::new(claim.bytes);
        let Some(rest) = incoming.open_from(planned, start, &mut |text| meter.note(text))? else {
            return Ok(None);
        };
        let head = incoming.head(planned, hold_back)?;
        let slot = &planned.slot.name;
        let Some(begun) = prove(open, &claim, &head, &|| meter.go_on())? else {
            meter.note(format!(
                "{slot} does not hold what an interrupted install left: fetching all of it"
            ));
            self.keeper.forget(slot, &mut |text| meter.note(text));
            return Ok(None);
        };
        meter.note(format!(
            "going on with an interrupted install: {slot} holds {start} of {} already",
            planned.size
        ));
        meter.pass(claim.bytes)?;
        self.keeper.goes_on();
        Ok(Some((begun, rest)))
    }
}

/// Writes one image and reads it back.
pub(crate) fn write_planned(
    group: &mut UnsealedGroup,
    incoming: &Incoming<'_>,
    watch: &mut Watch<'_, '_, '_>,
) -> Result<DurableSlot, InstallError> {
    let planned = watch.planned;
    let open = group.take(planned)?;
    watch.keeper.begins();
    let (begun, mut image) = match watch.go_on(&open, incoming, group.hold_back(planned))? {
        Some(gone_on) => gone_on,
        None => {
            let meter = &mut *watch.meter;
            (Begun::default(), incoming.open(planned, &mut |text| meter.note(text))?)
        }
    };
    let source = group.incoming(planned, &mut image, begun);
    let written = write_image(open, source, watch)?;
    drop(image);
    watch.meter.step(InstallStep::ReadBack(planned.slot.name.clone()));
    let durable = written.read_back(&mut |bytes| watch.meter.pass(bytes))?;
    watch.durable(durable.len.get(), durable.digest);
    Ok(durable)
}
