//! Who changes a topic may wait until the name servers know it: a client that asks them next finds what was made.
//!
//! Only name servers that have answered last time are waited for, and never for long. One that is away hears of it later.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// Longer than any name server in order takes, and shorter than what clients wait for an answer.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Counts the changes: later ones are larger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edition(u64);

#[derive(Debug, Default)]
pub struct Announcements {
    latest: watch::Sender<Edition>,
    /// What each name server knows; None: it is away.
    known: watch::Sender<Vec<Option<Edition>>>,
}

/// One name server's place among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(usize);

impl Announcements {
    /// There is something new. Returns what [`Self::wait_until_known`] takes.
    pub fn announce(&self) -> Edition {
        let mut announced = Edition::default();
        self.latest.send_modify(|latest| {
            latest.0 += 1;
            announced = *latest;
        });
        announced
    }

    /// Returns when each name server knows it that is not away, or after [`WAIT_MAX`].
    pub async fn wait_until_known(&self, edition: Edition) {
        let mut known = self.known.subscribe();
        let by_all = known.wait_for(|known| known.iter().flatten().all(|known| *known >= edition));
        if timeout(WAIT_MAX, by_all).await.is_err() {
            tracing::warn!("the name servers take their time to learn of a change");
        }
    }

    /// Makes room for one more name server. It counts as away until it knows something.
    pub fn enter(&self) -> Place {
        let mut place = Place(0);
        self.known.send_modify(|known| {
            place = Place(known.len());
            known.push(None);
        });
        place
    }

    /// The name server knows this much now, or is away.
    pub fn tell(&self, place: Place, known: Option<Edition>) {
        self.known.send_if_modified(|all| match all.get_mut(place.0) {
            Some(entry) if *entry != known => {
                *entry = known;
                true
            }
            _ => false,
        });
    }

    /// How many name servers know something of this broker, and how many there are.
    pub fn reached(&self) -> (usize, usize) {
        let known = self.known.borrow();
        (known.iter().flatten().count(), known.len())
    }

    /// Woken when there is something new.
    pub fn subscribe(&self) -> watch::Receiver<Edition> {
        self.latest.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_change_waits_for_those_who_are_there() {
        let announcements = Arc::new(Announcements::default());
        announcements.wait_until_known(announcements.announce()).await;
        let (here, away) = (announcements.enter(), announcements.enter());
        announcements.tell(here, Some(Edition(1)));
        announcements.tell(away, None);
        let edition = announcements.announce();
        let waiting = tokio::spawn({
            let announcements = Arc::clone(&announcements);
            async move { announcements.wait_until_known(edition).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "the one that is there knows only the first edition");
        announcements.tell(here, Some(edition));
        waiting.await.expect("known");
    }

    #[tokio::test]
    async fn whoever_goes_away_is_waited_for_no_longer() {
        let announcements = Announcements::default();
        let place = announcements.enter();
        announcements.tell(place, Some(Edition(0)));
        let edition = announcements.announce();
        announcements.tell(place, None);
        announcements.wait_until_known(edition).await;
        assert_eq!(*announcements.known.borrow(), [None]);
    }
}
