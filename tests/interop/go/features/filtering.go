package main

import (
	"fmt"
	"strconv"

	"github.com/apache/rocketmq-client-go/v2/consumer"
)

// Message `number` of a filtered topic: a property is "" where it is not set.
type sample struct{ number int }

func (s sample) tag() string { return []string{"red", "green", "blue", "Aa", "BB", ""}[s.number%6] }

func (s sample) n() string {
	if s.number%4 == 3 {
		return ""
	}
	return strconv.Itoa(s.number)
}

func (s sample) city() string { return []string{"Praha", "Brno", "Hradec Králové", ""}[s.number%4] }

func sql(expression string) consumer.MessageSelector {
	return consumer.MessageSelector{Type: consumer.SQL92, Expression: expression}
}

func number(text string, holds func(int) bool) bool {
	value, err := strconv.Atoi(text)
	return err == nil && holds(value)
}

// Subscriptions by tag and by SQL92, with properties missing in some messages.
var filtering = map[string]feature{
	"filter-tag-one":       filtered(byTag("green"), func(s sample) bool { return s.tag() == "green" }),
	"filter-tag-several":   filtered(byTag("red || blue"), func(s sample) bool { return s.tag() == "red" || s.tag() == "blue" }),
	"filter-tag-same-hash": filtered(byTag("Aa"), func(s sample) bool { return s.tag() == "Aa" }),
	"filter-sql-greater": filtered(sql("n > 30"), func(s sample) bool {
		return number(s.n(), func(n int) bool { return n > 30 })
	}),
	"filter-sql-at-most": filtered(sql("n <= 30"), func(s sample) bool {
		return number(s.n(), func(n int) bool { return n <= 30 })
	}),
	"filter-sql-equal":     filtered(sql("city = 'Praha'"), func(s sample) bool { return s.city() == "Praha" }),
	"filter-sql-not-equal": filtered(sql("city <> 'Praha'"), func(s sample) bool { return s.city() != "" && s.city() != "Praha" }),
	"filter-sql-between": filtered(sql("n between 10 and 20"), func(s sample) bool {
		return number(s.n(), func(n int) bool { return n >= 10 && n <= 20 })
	}),
	"filter-sql-in":      filtered(sql("city in ('Brno', 'Hradec Králové')"), func(s sample) bool { return s.city() == "Brno" || s.city() == "Hradec Králové" }),
	"filter-sql-is-null": filtered(sql("n is null"), func(s sample) bool { return s.n() == "" }),
	"filter-changed":     filterChanged,
}

func filtered(selector consumer.MessageSelector, wanted func(sample) bool) feature {
	return func(t *trial) error {
		topic, err := t.topic("", 2)
		if err != nil {
			return err
		}
		sender, err := t.producer()
		if err != nil {
			return err
		}
		var expected []string
		var chosen sample
		dispatch := func(s sample, body string, queue int) error {
			sent := inQueue(message(topic, body), queue)
			if s.tag() != "" {
				sent.WithTag(s.tag())
			}
			for name, value := range map[string]string{"n": s.n(), "city": s.city()} {
				if value != "" {
					sent.WithProperty(name, value)
				}
			}
			_, err := send(sender, sent)
			return err
		}
		for number := 0; number < 60; number++ {
			s := sample{number}
			body := fmt.Sprintf("m%d", number)
			if err := dispatch(s, body, number%2); err != nil {
				return err
			}
			if wanted(s) {
				chosen, expected = s, append(expected, body)
			}
		}
		t.note("%d of 60", len(expected))
		for queue := 0; queue < 2; queue++ {
			if err := dispatch(chosen, "last", queue); err != nil {
				return err
			}
			expected = append(expected, "last")
		}
		box, _, err := t.consume(t.group(), topic, selector)
		if err != nil {
			return err
		}
		return box.exactly(expected)
	}
}

// A group comes back with another expression; what the old one passed over stays passed over.
func filterChanged(t *trial) error {
	topic, err := t.topic("", 1)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	for _, tag := range []string{"green", "blue", "red"} {
		if _, err := send(sender, message(topic, "first "+tag).WithTag(tag)); err != nil {
			return err
		}
	}
	before, receiver, err := t.consume(t.group(), topic, byTag("red"))
	if err != nil {
		return err
	}
	if err := before.exactly([]string{"first red"}); err != nil {
		return err
	}
	if err := receiver.Shutdown(); err != nil {
		return err
	}
	for _, tag := range []string{"red", "green", "blue"} {
		if _, err := send(sender, message(topic, "second "+tag).WithTag(tag)); err != nil {
			return err
		}
	}
	after, _, err := t.consume(t.group(), topic, byTag("blue"))
	if err != nil {
		return err
	}
	return after.exactly([]string{"second blue"})
}
