//! Who gets which queues. Pure, and the same in every client and broker of a group: they all sort, and then count.

/// Apache's strategies, by the names that clients give them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Neighbouring queues go to one client.
    Average,
    /// Queues are dealt like cards.
    AverageByCircle,
}

impl Strategy {
    pub fn find(name: &str) -> Option<Self> {
        match name {
            "AVG" => Some(Self::Average),
            "AVG_BY_CIRCLE" => Some(Self::AverageByCircle),
            _ => None,
        }
    }

    /// The queues of `client`, from sorted queues and sorted clients; none for a client that is not among them.
    pub fn share<Q: Clone>(self, client: &str, queues: &[Q], clients: &[String]) -> Vec<Q> {
        let Some(index) = clients.iter().position(|other| other == client) else { return Vec::new() };
        match self {
            Self::Average => {
                let (each, rest) = (queues.len() / clients.len(), queues.len() % clients.len());
                // The first ones take one more until nothing is left over.
                let start = index * each + index.min(rest);
                let count = each + usize::from(index < rest);
                queues.iter().skip(start).take(count).cloned().collect()
            }
            Self::AverageByCircle => queues.iter().skip(index).step_by(clients.len()).cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_apaches_clients() {
        let cases: &[(Strategy, usize, usize, &[&[usize]])] = &[
            (Strategy::Average, 8, 3, &[&[0, 1, 2], &[3, 4, 5], &[6, 7]]),
            (Strategy::Average, 2, 3, &[&[0], &[1], &[]]),
            (Strategy::Average, 4, 2, &[&[0, 1], &[2, 3]]),
            (Strategy::Average, 0, 2, &[&[], &[]]),
            (Strategy::AverageByCircle, 8, 3, &[&[0, 3, 6], &[1, 4, 7], &[2, 5]]),
            (Strategy::AverageByCircle, 2, 3, &[&[0], &[1], &[]]),
        ];
        for (strategy, queues, clients, shares) in cases {
            let queues: Vec<_> = (0..*queues).collect();
            let clients: Vec<_> = (0..*clients).map(|client| format!("c{client}")).collect();
            for (client, share) in clients.iter().zip(*shares) {
                assert_eq!(strategy.share(client, &queues, &clients), *share, "{strategy:?} {client}");
            }
            assert!(strategy.share("stranger", &queues, &clients).is_empty());
        }
    }

    #[test]
    fn strategies_have_apaches_names() {
        assert_eq!(Strategy::find("AVG"), Some(Strategy::Average));
        assert_eq!(Strategy::find("AVG_BY_CIRCLE"), Some(Strategy::AverageByCircle));
        assert_eq!(Strategy::find("CONSISTENT_HASH"), None);
    }
}
