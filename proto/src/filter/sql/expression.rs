//! A compiled expression, and the rules by which its parts may be put together.
//!
//! Java tells conditions from other operands by their class, and checks when it builds them. Here they are two types, and the
//! checks are in the functions that make one from the other.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::evaluation::{Value, compare};

/// True, false or unknown.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    Constant(Option<bool>),
    /// A property that stands where a condition should. Properties are texts, and no text is true: not even `true`.
    Bare(Property),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
    IsNull(Operand),
    Equal(Operand, Operand),
    Order(Operand, Order, Operand),
    Between {
        value: Operand,
        low: Operand,
        high: Operand,
        negated: bool,
    },
    In {
        property: Property,
        /// Invariant: sorted.
        texts: Vec<Box<str>>,
        negated: bool,
    },
    Search {
        operand: Operand,
        place: Place,
        text: Box<str>,
        negated: bool,
    },
}

/// What conditions are about.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Property(Property),
    Literal(Literal),
    Negated(Box<Self>),
    Condition(Box<Condition>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Property {
    pub(super) name: Box<str>,
    /// Where its value is kept while a message is looked at. Only the first few have a place.
    pub(super) slot: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Boolean(bool),
    /// What fits.
    Integer(i32),
    /// What does not fit an integer.
    Long(i64),
    Double(f64),
    Text(Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Where in a value a text is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Anywhere,
    Start,
    End,
}

/// The rule that an operand breaks.
pub(super) type Rule = &'static str;

impl Order {
    pub(super) fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

impl Literal {
    pub(super) fn value(&self) -> Option<Value<'_>> {
        Some(match self {
            Self::Null => return None,
            Self::Boolean(boolean) => Value::Boolean(*boolean),
            Self::Integer(number) => Value::Integer(*number),
            Self::Long(number) => Value::Long(*number),
            Self::Double(number) => Value::Double(*number),
            Self::Text(text) => Value::Text(Cow::Borrowed(text)),
        })
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Integer(_) | Self::Long(_) | Self::Double(_))
    }
}

impl Operand {
    pub(super) fn into_condition(self) -> Result<Condition, Rule> {
        match self {
            Self::Condition(condition) => Ok(*condition),
            Self::Property(property) => Ok(Condition::Bare(property)),
            Self::Literal(Literal::Null) => Ok(Condition::Constant(None)),
            Self::Literal(Literal::Boolean(boolean)) => Ok(Condition::Constant(Some(boolean))),
            Self::Literal(_) | Self::Negated(_) => Err("a number or a text alone is no condition"),
        }
    }

    pub(super) fn into_property(self) -> Result<Property, Rule> {
        match self {
            Self::Property(property) => Ok(property),
            _ => Err("IN takes a property on its left"),
        }
    }

    /// For `<` and its like.
    pub(super) fn into_number(self) -> Result<Self, Rule> {
        match &self {
            Self::Literal(literal) if !literal.is_number() => {
                Err("only = and <> compare texts, TRUE and FALSE; the others compare numbers")
            }
            Self::Condition(_) => Err("only = and <> compare conditions; the others compare numbers"),
            _ => Ok(self),
        }
    }
}

/// `left = right`
pub(super) fn equal(left: Operand, right: Operand) -> Result<Condition, Rule> {
    use Operand::Literal as Is;
    match (&left, &right) {
        (Is(Literal::Null), _) | (_, Is(Literal::Null)) => {
            Err("nothing equals NULL: write IS NULL or IS NOT NULL")
        }
        // The other way round Java lets it pass.
        (Is(Literal::Boolean(_)), Is(other)) if !matches!(other, Literal::Boolean(_)) => {
            Err("TRUE and FALSE equal no number and no text")
        }
        _ => Ok(Condition::Equal(left, right)),
    }
}

/// `value BETWEEN low AND high`; with `negated`, `NOT BETWEEN`.
pub(super) fn between(value: Operand, low: Operand, high: Operand, negated: bool) -> Result<Condition, Rule> {
    let (value, low, high) = (value.into_number()?, low.into_number()?, high.into_number()?);
    if let (false, Operand::Literal(low), Operand::Literal(high)) = (negated, &low, &high) {
        let bounds = low.value().zip(high.value());
        if bounds.is_some_and(|(low, high)| compare(&high, &low) == Ok(Ordering::Less)) {
            return Err("the bounds of BETWEEN are the wrong way round");
        }
    }
    Ok(Condition::Between { value, low, high, negated })
}
