package main

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// The broker is stopped ("-restart") or killed ("-crash") in the middle of a feature. What a broker notes down only now
// and then, a killed one may have forgotten; then messages may come twice, none is lost.
var restarts = bothEnds(map[string]feature{
	"messages":          messagesAround,
	"offsets":           offsetsAround,
	"running-clients":   runningClientsAround,
	"orderly":           orderlyAround,
	"delay":             delayAround,
	"retry":             retryAround,
	"open-transactions": openTransactionsAround,
})

func bothEnds(some map[string]feature) map[string]feature {
	both := map[string]feature{}
	for name, prove := range some {
		both[name+"-restart"], both[name+"-crash"] = prove, prove
	}
	return both
}

// Clients notice within their own time that the broker is back.
func sendPatiently(sender rocketmq.Producer, sent *primitive.Message) error {
	return eventually("sent", func() bool { _, err := send(sender, sent); return err == nil })
}

// Exactly these after a restart; after a crash some may have come twice.
func (t *trial) consumedAround(expected []string, box *inbox) error {
	if !t.crashes() {
		return box.exactly(expected)
	}
	err := eventually("all is consumed", func() bool { return len(different(box.bodies())) >= len(expected) })
	if err != nil {
		return err
	}
	t.note("%d repeated", len(box.all())-len(expected))
	return sameElements("different messages", expected, different(box.bodies()))
}

func messagesAround(t *trial) error {
	topic, err := t.topic("", 2)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	sent, err := sendNumbered(sender, topic, "m", 100)
	if err != nil {
		return err
	}
	t.restartBroker()
	if err := sendPatiently(sender, message(topic, "after")); err != nil {
		return err
	}
	_, err = t.exactly(topic, append(sent, "after"))
	return err
}

func offsetsAround(t *trial) error {
	topic, err := t.topic("", 2)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	early, err := sendNumbered(sender, topic, "early ", 30)
	if err != nil {
		return err
	}
	before, receiver, err := t.consume(t.group(), topic, byTag("*"))
	if err != nil {
		return err
	}
	if err := before.exactly(early); err != nil {
		return err
	}
	err = eventually("all is consumed", func() bool {
		behind := int64(0)
		for _, difference := range receiver.GetOffsetDiffMap() {
			behind += difference
		}
		return behind == 0
	})
	if err != nil {
		return err
	}
	if err := receiver.Shutdown(); err != nil {
		return err
	}
	late, err := sendNumbered(sender, topic, "late ", 10)
	if err != nil {
		return err
	}
	t.restartBroker()
	var after *inbox
	err = eventually("the group is back", func() bool {
		box, _, err := t.consume(t.group(), topic, byTag("*"))
		after = box
		return err == nil
	})
	if err != nil {
		return err
	}
	if !t.crashes() {
		return after.exactly(late)
	}
	return eventually("all that were not consumed before", func() bool {
		for _, body := range late {
			if !contains(after.bodies(), body) {
				return false
			}
		}
		return true
	})
}

func runningClientsAround(t *trial) error {
	topic, err := t.topic("", 4)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	box, _, err := t.consume(t.group(), topic, byTag("*"))
	if err != nil {
		return err
	}
	sent, err := sendNumbered(sender, topic, "before ", 50)
	if err != nil {
		return err
	}
	if _, err := box.await(10); err != nil {
		return err
	}
	t.restartBroker()
	for number := 0; number < 50; number++ {
		sent = append(sent, fmt.Sprintf("after %d", number))
		if err := sendPatiently(sender, message(topic, fmt.Sprintf("after %d", number))); err != nil {
			return err
		}
	}
	if err := eventually("all is consumed", func() bool { return len(different(box.bodies())) >= 100 }); err != nil {
		return err
	}
	return sameElements("different messages", sent, different(box.bodies()))
}

func orderlyAround(t *trial) error {
	topic, err := t.topic("", 1)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	box, _, err := t.consume(t.group(), topic, byTag("*"), consumer.WithConsumerOrder(true))
	if err != nil {
		return err
	}
	if _, err := sendNumbered(sender, topic, "", 50); err != nil {
		return err
	}
	if _, err := box.await(10); err != nil {
		return err
	}
	t.restartBroker()
	for number := 50; number < 80; number++ {
		if err := sendPatiently(sender, message(topic, strconv.Itoa(number))); err != nil {
			return err
		}
	}
	if err := box.awaitBody("79"); err != nil {
		return err
	}
	newest := -1
	for _, body := range box.bodies() {
		number, err := strconv.Atoi(body)
		if err != nil || number > newest+1 {
			return fmt.Errorf("%s comes after %d", body, newest)
		}
		newest = max(newest, number)
	}
	return nil
}

func delayAround(t *trial) error {
	topic, err := t.topic("", 1)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	var sent []string
	for level := 1; level <= 3; level++ {
		for number := 0; number < 10; number++ {
			body := fmt.Sprintf("level %d number %d", level, number)
			if _, err := send(sender, message(topic, body).WithDelayTimeLevel(level)); err != nil {
				return err
			}
			sent = append(sent, body)
		}
	}
	t.restartBroker()
	if err := sendPatiently(sender, message(topic, "last").WithDelayTimeLevel(3)); err != nil {
		return err
	}
	box, _, err := t.consume(t.group(), topic, byTag("*"))
	if err != nil {
		return err
	}
	return t.consumedAround(append(sent, "last"), box)
}

func retryAround(t *trial) error {
	topic, err := t.topicWith(1, 5)
	if err != nil {
		return err
	}
	box, done := newInbox(), newInbox()
	err = t.judged(topic, box, func(_ context.Context, got *primitive.MessageExt) consumer.ConsumeResult {
		if got.ReconsumeTimes < 2 {
			return consumer.ConsumeRetryLater
		}
		done.add(got)
		return consumer.ConsumeSuccess
	})
	if err != nil {
		return err
	}
	if _, err := box.await(5); err != nil {
		return err
	}
	t.restartBroker()
	return eventually("each is consumed in the end", func() bool { return len(different(done.bodies())) == 5 })
}

func openTransactionsAround(t *trial) error {
	topic, err := t.topic("", 1)
	if err != nil {
		return err
	}
	var isBack atomic.Bool
	listener := &decisions{
		first: func(string) primitive.LocalTransactionState { return primitive.UnknowState },
		later: func(body string) primitive.LocalTransactionState {
			if !isBack.Load() {
				return primitive.UnknowState
			}
			if number, _ := strconv.Atoi(body); number%2 == 0 {
				return primitive.CommitMessageState
			}
			return primitive.RollbackMessageState
		},
	}
	sender, err := t.transactional(listener)
	if err != nil {
		return err
	}
	for number := 0; number < 10; number++ {
		if err := begin(sender, message(topic, strconv.Itoa(number))); err != nil {
			return err
		}
	}
	t.restartBroker()
	isBack.Store(true)
	// The client registers as a producer by its next heartbeat only.
	if err := eventually("a new transaction begins", func() bool { return begin(sender, message(topic, "100")) == nil }); err != nil {
		return err
	}
	box, _, err := t.consume(t.group(), topic, byTag("*"))
	if err != nil {
		return err
	}
	return t.consumedAround([]string{"0", "2", "4", "6", "8", "100"}, box)
}
