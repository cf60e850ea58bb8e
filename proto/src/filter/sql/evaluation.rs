//! What a compiled expression says about one message.
//!
//! Java's rules: unknown is neither true nor false; a text is compared with a number as a number, and when it is none there is no
//! answer at all, whatever else the expression says, unless it had been decided before.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::cmp::Ordering;

use super::error::EvaluationError;
use super::expression::{Condition, Operand, Order, Place, Property};
use super::{SLOTS, STEP_BYTES, STEPS_MAX, numbers};
use crate::filter::Lookup;

type Answer<T> = Result<Option<T>, EvaluationError>;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'e> {
    Boolean(bool),
    Integer(i32),
    Long(i64),
    Double(f64),
    Text(Cow<'e, str>),
}

/// One message, and what is known of it so far.
pub(super) struct Evaluation<'m, L> {
    properties: &'m L,
    found: [OnceCell<Option<Cow<'m, str>>>; SLOTS],
    steps_left: Cell<usize>,
}

impl<'m, L: Lookup> Evaluation<'m, L> {
    pub(super) fn new(properties: &'m L) -> Self {
        Self { properties, found: [const { OnceCell::new() }; SLOTS], steps_left: Cell::new(STEPS_MAX) }
    }

    pub(super) fn condition(&self, condition: &Condition) -> Answer<bool> {
        self.spend(0)?;
        match condition {
            Condition::Constant(known) => Ok(*known),
            Condition::Bare(property) => Ok(self.property(property)?.map(|_| false)),
            Condition::Not(condition) => Ok(self.condition(condition)?.map(|truth| !truth)),
            Condition::All(conditions) => self.decide(conditions, false),
            Condition::Any(conditions) => self.decide(conditions, true),
            Condition::IsNull(operand) => Ok(Some(self.operand(operand)?.is_none())),
            Condition::Equal(left, right) => self.equal(left, right),
            Condition::Order(left, order, right) => match self.operand(left)? {
                Some(value) => self.order(&value, *order, right),
                None => Ok(None),
            },
            Condition::Between { value, low, high, negated } => self.between(value, low, high, *negated),
            Condition::In { property, texts, negated } => Ok(self.property(property)?.map(|value| {
                let found = texts.binary_search_by(|text| (**text).cmp(&value)).is_ok();
                found != *negated
            })),
            Condition::Search { operand, place, text, negated } => {
                self.search(operand, *place, text, *negated)
            }
        }
    }

    /// The first condition that is `decisive` decides; without one, an unknown makes the whole unknown.
    fn decide(&self, conditions: &[Condition], decisive: bool) -> Answer<bool> {
        let mut known = true;
        for condition in conditions {
            match self.condition(condition)? {
                Some(truth) if truth == decisive => return Ok(Some(decisive)),
                Some(_) => {}
                None => known = false,
            }
        }
        Ok(known.then_some(!decisive))
    }

    /// Nothing equals nothing, in Java; and nothing on the right side only is not equal, where on the left it is unknown.
    fn equal(&self, left: &Operand, right: &Operand) -> Answer<bool> {
        match (self.operand(left)?, self.operand(right)?) {
            (None, None) => Ok(Some(true)),
            (None, Some(_)) => Ok(None),
            (Some(_), None) => Ok(Some(false)),
            (Some(left), Some(right)) => Ok(Some(compare(&left, &right)?.is_eq())),
        }
    }

    fn order(&self, left: &Value<'_>, order: Order, right: &Operand) -> Answer<bool> {
        let Some(right) = self.operand(right)? else { return Ok(None) };
        let ordering = match (left, &right) {
            (Value::Text(left), Value::Text(right)) => {
                let (Some(left), Some(right)) = (numbers::double(left), numbers::double(right)) else {
                    return Err(EvaluationError::NotANumber);
                };
                numbers::compare_doubles(left, right)
            }
            (left, right) => compare(left, right)?,
        };
        Ok(Some(order.holds(ordering)))
    }

    fn between(&self, value: &Operand, low: &Operand, high: &Operand, negated: bool) -> Answer<bool> {
        let Some(value) = self.operand(value)? else { return Ok(None) };
        let (first, second) =
            if negated { (Order::Less, Order::Greater) } else { (Order::GreaterOrEqual, Order::LessOrEqual) };
        let first = self.order(&value, first, low)?;
        if first == Some(negated) {
            return Ok(first);
        }
        let second = self.order(&value, second, high)?;
        Ok(if second == Some(negated) { second } else { first.and(second) })
    }

    /// An empty text is found nowhere, and not missed anywhere either; so it is with what is no text.
    fn search(&self, operand: &Operand, place: Place, text: &str, negated: bool) -> Answer<bool> {
        if text.is_empty() {
            return Ok(Some(false));
        }
        let Some(Value::Text(value)) = self.operand(operand)? else { return Ok(Some(false)) };
        let found = match place {
            Place::Anywhere => value.contains(text),
            Place::Start => value.starts_with(text),
            Place::End => value.ends_with(text),
        };
        Ok(Some(found != negated))
    }

    fn operand<'e>(&'e self, operand: &'e Operand) -> Answer<Value<'e>> {
        self.spend(0)?;
        match operand {
            Operand::Property(property) => Ok(self.property(property)?.map(Value::Text)),
            Operand::Literal(literal) => Ok(literal.value()),
            Operand::Negated(operand) => Ok(self.operand(operand)?.and_then(Value::negated)),
            Operand::Condition(condition) => Ok(self.condition(condition)?.map(Value::Boolean)),
        }
    }

    fn property(&self, property: &Property) -> Answer<Cow<'_, str>> {
        let look_up = || {
            self.spend(self.properties.bytes())?;
            Ok(self.properties.get(&property.name))
        };
        let value = match property.slot.and_then(|slot| self.found.get(slot)) {
            Some(place) => match place.get() {
                Some(value) => value.as_deref().map(Cow::Borrowed),
                None => {
                    let value = look_up()?;
                    place.get_or_init(|| value).as_deref().map(Cow::Borrowed)
                }
            },
            None => look_up()?,
        };
        // Whatever is done with it may go through all of it.
        self.spend(value.as_deref().map_or(0, str::len))?;
        Ok(value)
    }

    /// Every operation is a step, and so is every so many bytes it goes through.
    fn spend(&self, bytes: usize) -> Result<(), EvaluationError> {
        let steps = 1 + bytes / STEP_BYTES;
        let left = self.steps_left.get().checked_sub(steps).ok_or(EvaluationError::TooManySteps)?;
        self.steps_left.set(left);
        Ok(())
    }
}

impl Value<'_> {
    /// Only numbers have a negative.
    fn negated(self) -> Option<Self> {
        match self {
            Self::Integer(number) => Some(Self::Integer(number.wrapping_neg())),
            Self::Long(number) => Some(Self::Long(number.wrapping_neg())),
            Self::Double(number) => Some(Self::Double(-number)),
            Self::Boolean(_) | Self::Text(_) => None,
        }
    }
}

/// How Java orders two values: the narrower number becomes as wide as the other, a text becomes what the other is.
pub(super) fn compare(left: &Value<'_>, right: &Value<'_>) -> Result<Ordering, EvaluationError> {
    use Value::{Boolean, Double, Integer, Long, Text};
    let doubles = |left, right| Ok(numbers::compare_doubles(left, right));
    match (left, right) {
        (Boolean(left), Boolean(right)) => Ok(left.cmp(right)),
        (Boolean(_), Text(_)) => Err(EvaluationError::NotComparable),
        (Text(left), Boolean(right)) => Ok(left.eq_ignore_ascii_case("true").cmp(right)),
        (Text(left), Text(right)) => Ok(left.cmp(right)),
        (Integer(left), Integer(right)) => Ok(left.cmp(right)),
        (Integer(left), Long(right)) => Ok(i64::from(*left).cmp(right)),
        (Integer(left), Double(right)) => doubles(f64::from(*left), *right),
        (Integer(left), Text(right)) => Ok(left.cmp(&number(numbers::integer(right))?)),
        (Long(left), Integer(right)) => Ok(left.cmp(&i64::from(*right))),
        (Long(left), Long(right)) => Ok(left.cmp(right)),
        (Long(left), Double(right)) => doubles(*left as f64, *right),
        (Long(left), Text(right)) => Ok(left.cmp(&number(numbers::long(right))?)),
        (Double(left), Integer(right)) => doubles(*left, f64::from(*right)),
        (Double(left), Long(right)) => doubles(*left, *right as f64),
        (Double(left), Double(right)) => doubles(*left, *right),
        (Double(left), Text(right)) => doubles(*left, number(numbers::double(right))?),
        (Text(left), Integer(right)) => Ok(number(numbers::integer(left))?.cmp(right)),
        (Text(left), Long(right)) => Ok(number(numbers::long(left))?.cmp(right)),
        (Text(left), Double(right)) => doubles(number(numbers::double(left))?, *right),
        // Java's answer for what has no order.
        (Boolean(_), _) | (_, Boolean(_)) => Ok(Ordering::Less),
    }
}

fn number<T>(read: Option<T>) -> Result<T, EvaluationError> {
    read.ok_or(EvaluationError::NotANumber)
}
