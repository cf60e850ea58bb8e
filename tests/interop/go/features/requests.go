package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// Request and reply.
var requests = map[string]feature{
	"request-reply":       requestReply,
	"request-reply-async": requestAsync,
	"request-timeout":     requestTimeout,
}

const (
	timeToLive      = 60 * time.Second
	shortTimeToLive = 1500 * time.Millisecond
	// The requester registers with the broker by its next heartbeat only.
	registered = 60 * time.Second
)

// A consumer that answers each message with "reply to " and its body.
func (t *trial) answer(topic string) error {
	replier, err := t.producer()
	if err != nil {
		return err
	}
	receiver, err := t.consumer(t.group())
	if err != nil {
		return err
	}
	err = receiver.Subscribe(topic, byTag("*"), func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for _, got := range messages {
			reply, err := consumer.CreateReplyMessage(got, nil)
			if err != nil {
				return consumer.ConsumeRetryLater, err
			}
			// This version takes the body that it is given for properties.
			reply.Body = []byte("reply to " + string(got.Body))
			for deadline := time.Now().Add(registered); ; time.Sleep(pollTime) {
				if _, err = replier.SendSync(ctx, reply); err == nil {
					break
				}
				if time.Now().After(deadline) {
					return consumer.ConsumeRetryLater, err
				}
			}
		}
		return consumer.ConsumeSuccess, nil
	})
	if err != nil {
		return err
	}
	return t.start(receiver)
}

func requestReply(t *trial) error {
	topic, err := t.topic("", 2)
	if err != nil {
		return err
	}
	if err := t.answer(topic); err != nil {
		return err
	}
	requester, err := t.producer()
	if err != nil {
		return err
	}
	for number := 0; number < 5; number++ {
		reply, err := requester.Request(context.Background(), timeToLive, message(topic, fmt.Sprint(number)))
		if err != nil {
			return err
		}
		if err := equal("reply", fmt.Sprintf("reply to %d", number), string(reply.Body)); err != nil {
			return err
		}
	}
	return nil
}

func requestAsync(t *trial) error {
	topic, err := t.topic("", 2)
	if err != nil {
		return err
	}
	if err := t.answer(topic); err != nil {
		return err
	}
	requester, err := t.producer()
	if err != nil {
		return err
	}
	var collecting sync.Mutex // guards replies and problem
	var replies, expected []string
	var problem error
	for number := 0; number < 10; number++ {
		expected = append(expected, fmt.Sprintf("reply to %d", number))
		err := requester.RequestAsync(context.Background(), timeToLive, func(_ context.Context, reply *primitive.Message, err error) {
			collecting.Lock()
			defer collecting.Unlock()
			if err != nil {
				problem = err
				return
			}
			replies = append(replies, string(reply.Body))
		}, message(topic, fmt.Sprint(number)))
		if err != nil {
			return err
		}
	}
	// This version calls back twice for a reply.
	seen := func() ([]string, error) {
		collecting.Lock()
		defer collecting.Unlock()
		return different(replies), problem
	}
	err = eventually("all are answered", func() bool { all, problem := seen(); return problem != nil || len(all) >= len(expected) })
	if err != nil {
		return err
	}
	all, err := seen()
	if err != nil {
		return err
	}
	return sameElements("replies", expected, all)
}

func requestTimeout(t *trial) error {
	topic, err := t.topic("", 1)
	if err != nil {
		return err
	}
	box, _, err := t.consume(t.group(), topic, byTag("*"))
	if err != nil {
		return err
	}
	requester, err := t.producer()
	if err != nil {
		return err
	}
	if _, err := requester.Request(context.Background(), shortTimeToLive, message(topic, "nobody answers")); err == nil {
		return fmt.Errorf("there was a reply")
	} else {
		t.note("%v", err)
	}
	return box.awaitBody("nobody answers")
}
