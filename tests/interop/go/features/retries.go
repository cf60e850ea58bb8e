package main

import (
	"context"
	"fmt"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// Consumers that fail.
var retries = map[string]feature{
	"retry-until-success":  retryUntilSuccess,
	"retry-chosen-level":   retryChosenLevel,
	"retry-to-dead-letter": retryToDeadLetter,
	"retry-orderly":        retryOrderly,
}

type judge func(context.Context, *primitive.MessageExt) consumer.ConsumeResult

// One message each time, noted in the inbox, then judged.
func (t *trial) judged(topic string, box *inbox, judge judge, options ...consumer.Option) error {
	receiver, err := t.consumer(t.group(), options...)
	if err != nil {
		return err
	}
	err = receiver.Subscribe(topic, byTag("*"), func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		box.add(messages...)
		return judge(ctx, messages[0]), nil
	})
	if err != nil {
		return err
	}
	return t.start(receiver)
}

func (t *trial) topicWith(queues, count int) (string, error) {
	topic, err := t.topic("", queues)
	if err != nil {
		return "", err
	}
	sender, err := t.producer()
	if err != nil {
		return "", err
	}
	for number := 0; number < count; number++ {
		sent := message(topic, fmt.Sprintf("m%d", number)).WithTag("tag").WithKeys([]string{fmt.Sprintf("key-%d", number)})
		sent.WithProperty("number", fmt.Sprint(number))
		if _, err := send(sender, sent); err != nil {
			return "", err
		}
	}
	return topic, nil
}

// Message n fails n times.
func retryUntilSuccess(t *trial) error {
	topic, err := t.topicWith(1, 4)
	if err != nil {
		return err
	}
	box := newInbox()
	// The library may change a message after its handler: what is compared is noted in the handler.
	seen := newInbox()
	err = t.judged(topic, box, func(_ context.Context, got *primitive.MessageExt) consumer.ConsumeResult {
		seen.add(&primitive.MessageExt{Message: primitive.Message{Body: []byte(fmt.Sprintf("%s %d %s %s", got.Body, got.ReconsumeTimes, got.Topic, got.GetTags()))}})
		if fmt.Sprint(got.ReconsumeTimes) < got.GetProperty("number") {
			return consumer.ConsumeRetryLater
		}
		return consumer.ConsumeSuccess
	})
	if err != nil {
		return err
	}
	var expected []string
	for number := 0; number < 4; number++ {
		for times := 0; times <= number; times++ {
			expected = append(expected, fmt.Sprintf("m%d %d %s tag", number, times, topic))
		}
	}
	return seen.exactly(expected)
}

func retryChosenLevel(t *trial) error {
	topic, err := t.topicWith(1, 1)
	if err != nil {
		return err
	}
	box := newInbox()
	err = t.judged(topic, box, func(ctx context.Context, got *primitive.MessageExt) consumer.ConsumeResult {
		if got.ReconsumeTimes > 0 {
			return consumer.ConsumeSuccess
		}
		if how, known := primitive.GetConcurrentlyCtx(ctx); known {
			how.DelayLevelWhenNextConsume = 2
		}
		return consumer.ConsumeRetryLater
	})
	if err != nil {
		return err
	}
	all, err := box.await(2)
	if err != nil {
		return err
	}
	waited := all[1].StoreTimestamp - all[0].StoreTimestamp
	if waited < 2_000 {
		return fmt.Errorf("it waited for %d ms, not for the level's 2 s", waited)
	}
	return nil
}

func retryToDeadLetter(t *trial) error {
	topic, err := t.topicWith(1, 3)
	if err != nil {
		return err
	}
	box := newInbox()
	err = t.judged(topic, box, func(_ context.Context, got *primitive.MessageExt) consumer.ConsumeResult {
		if got.GetProperty("number") == "1" {
			return consumer.ConsumeSuccess
		}
		return consumer.ConsumeRetryLater
	}, consumer.WithMaxReconsumeTimes(2))
	if err != nil {
		return err
	}
	if _, err := box.await(7); err != nil {
		return err
	}
	dead := newInbox()
	// A consumer that starts before there is a dead letter finds no route.
	err = eventually("a consumer of dead letters starts", func() bool {
		receiver, err := t.consumer(t.own("undertaker"))
		if err != nil || receiver.Subscribe("%DLQ%"+t.group(), byTag("*"), dead.receive) != nil {
			return false
		}
		if receiver.Start() != nil {
			_ = receiver.Shutdown()
			return false
		}
		t.onClose(func() { _ = receiver.Shutdown() })
		return true
	})
	if err != nil {
		return err
	}
	if err := dead.exactly([]string{"m0", "m2"}); err != nil {
		return err
	}
	for _, letter := range dead.all() {
		if err := equal("topic of the first", topic, letter.GetProperty("RETRY_TOPIC")); err != nil {
			return err
		}
	}
	return equal("deliveries", 7, len(box.all()))
}

func retryOrderly(t *trial) error {
	topic, err := t.topicWith(1, 5)
	if err != nil {
		return err
	}
	box := newInbox()
	failures := 0
	err = t.judged(topic, box, func(_ context.Context, got *primitive.MessageExt) consumer.ConsumeResult {
		if string(got.Body) == "m2" && failures < 3 {
			failures++
			return consumer.SuspendCurrentQueueAMoment
		}
		return consumer.ConsumeSuccess
	}, consumer.WithConsumerOrder(true))
	if err != nil {
		return err
	}
	if err := box.awaitBody("m4"); err != nil {
		return err
	}
	return equal("deliveries, in order", []string{"m0", "m1", "m2", "m2", "m2", "m2", "m3", "m4"}, box.bodies())
}
