package main

import (
	"fmt"
	"sort"

	"github.com/apache/rocketmq-client-go/v2/consumer"
)

// Messages delayed by level. The profile's levels are 1 s, 2 s, 3 s, and 1 s for all others.
var delays = map[string]feature{
	"delay-levels":      delayLevels,
	"delay-keeps-order": delayKeepsOrder,
}

func delayLevels(t *trial) error {
	topic, err := t.topic("", 2)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	waits := []int64{0, 1_000, 2_000, 3_000, 1_000}
	var sent []string
	for level := range waits {
		sent = append(sent, fmt.Sprint(level))
		delayed := inQueue(message(topic, fmt.Sprint(level)).WithTag("tag"), 1)
		if level > 0 {
			delayed.WithDelayTimeLevel(level)
		}
		if _, err := send(sender, delayed); err != nil {
			return err
		}
	}
	box, _, err := t.consume(t.group(), topic, byTag("tag"))
	if err != nil {
		return err
	}
	if err := box.exactly(sent); err != nil {
		return err
	}
	for _, got := range box.all() {
		level := int(got.Body[0] - '0')
		if waited := got.StoreTimestamp - got.BornTimestamp; waited < waits[level] {
			return fmt.Errorf("level %d waited for %d ms, not for %d", level, waited, waits[level])
		}
		if err := equal("queue", 1, got.Queue.QueueId); err != nil {
			return err
		}
	}
	return nil
}

func delayKeepsOrder(t *trial) error {
	topic, err := t.topic("", 1)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	for number := 0; number < 50; number++ {
		if _, err := send(sender, message(topic, fmt.Sprint(number)).WithDelayTimeLevel(1)); err != nil {
			return err
		}
	}
	box, _, err := t.consume(t.group(), topic, byTag("*"), consumer.WithConsumerOrder(true))
	if err != nil {
		return err
	}
	all, err := box.await(50)
	if err != nil {
		return err
	}
	sort.Slice(all, func(i, j int) bool { return all[i].QueueOffset < all[j].QueueOffset })
	for number, got := range all {
		if err := equal("order in the queue", number, string(got.Body)); err != nil {
			return err
		}
	}
	return nil
}
