package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// Consumer groups whose members stay.
var groups = map[string]feature{
	"group-shares-queues":           sharesQueues,
	"group-broadcast-three":         broadcastThree,
	"group-several-topics":          severalTopics,
	"group-two-groups":              twoGroups,
	"group-batches":                 groupBatches,
	"group-orderly":                 groupOrderly,
	"group-suspend-resume":          suspendResume,
	"group-namespace":               namespace,
	"consume-from-first":            consumeFrom(consumer.ConsumeFromFirstOffset),
	"consume-from-last-young-topic": consumeFrom(consumer.ConsumeFromLastOffset),
	"offset-after-consumer-restart": afterConsumerRestart,
}

// Two members: each gets messages once it is known, together all.
func sharesQueues(t *trial) error {
	topic, err := t.topic("", 4)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	first, _, err := t.consume(t.group(), topic, byTag("*"))
	if err != nil {
		return err
	}
	second, _, err := t.consume(t.group(), topic, byTag("*"))
	if err != nil {
		return err
	}
	sent := 0
	both := func() []string { return append(first.bodies(), second.bodies()...) }
	err = eventually("both get messages", func() bool {
		for end := sent + 4; sent < end; sent++ {
			if _, err := send(sender, message(topic, fmt.Sprint(sent))); err != nil {
				return false
			}
		}
		return len(first.all()) > 0 && len(second.all()) > 0
	})
	if err != nil {
		return err
	}
	return eventually("all is consumed", func() bool { return len(different(both())) == sent })
}

func broadcastThree(t *trial) error {
	topic, err := t.topic("", 2)
	if err != nil {
		return err
	}
	var boxes []*inbox
	for member := 0; member < 3; member++ {
		box, _, err := t.consume(t.group(), topic, byTag("*"), consumer.WithConsumerModel(consumer.BroadCasting))
		if err != nil {
			return err
		}
		boxes = append(boxes, box)
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	sent, err := sendNumbered(sender, topic, "m", 40)
	if err != nil {
		return err
	}
	for _, box := range boxes {
		if err := box.exactly(sent); err != nil {
			return err
		}
	}
	return nil
}

func severalTopics(t *trial) error {
	sender, err := t.producer()
	if err != nil {
		return err
	}
	receiver, err := t.consumer(t.group())
	if err != nil {
		return err
	}
	box := newInbox()
	var sent []string
	for number := 0; number < 5; number++ {
		topic, err := t.topic(fmt.Sprintf("topic%d", number), 1)
		if err != nil {
			return err
		}
		if err := receiver.Subscribe(topic, byTag("*"), box.receive); err != nil {
			return err
		}
		bodies, err := sendNumbered(sender, topic, topic+" ", 3)
		if err != nil {
			return err
		}
		sent = append(sent, bodies...)
	}
	if err := t.start(receiver); err != nil {
		return err
	}
	return box.exactly(sent)
}

func twoGroups(t *trial) error {
	topic, err := t.topic("", 2)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	sent, err := sendNumbered(sender, topic, "m", 20)
	if err != nil {
		return err
	}
	for _, group := range []string{"one", "two"} {
		box, _, err := t.consume(t.own(group), topic, byTag("*"))
		if err != nil {
			return err
		}
		if err := box.exactly(sent); err != nil {
			return err
		}
	}
	return nil
}

func groupBatches(t *trial) error {
	topic, err := t.topic("", 1)
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
	receiver, err := t.consumer(t.group(), consumer.WithConsumeMessageBatchMaxSize(16))
	if err != nil {
		return err
	}
	box := newInbox()
	var largest atomic.Int64
	err = receiver.Subscribe(topic, byTag("*"), func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		if size := int64(len(messages)); size > largest.Load() {
			largest.Store(size)
		}
		box.add(messages...)
		return consumer.ConsumeSuccess, nil
	})
	if err != nil {
		return err
	}
	if err := t.start(receiver); err != nil {
		return err
	}
	if err := box.exactly(sent); err != nil {
		return err
	}
	return equal("largest batch", 16, largest.Load())
}

func groupOrderly(t *trial) error {
	topic, err := t.topic("", 4)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	for number := 0; number < 200; number++ {
		if _, err := send(sender, inQueue(message(topic, fmt.Sprint(number/4)), number%4)); err != nil {
			return err
		}
	}
	box, _, err := t.consume(t.group(), topic, byTag("*"), consumer.WithConsumerOrder(true))
	if err != nil {
		return err
	}
	all, err := box.await(200)
	if err != nil {
		return err
	}
	next := map[int]int{}
	for _, got := range all {
		if err := equal(fmt.Sprintf("next of queue %d", got.Queue.QueueId), next[got.Queue.QueueId], string(got.Body)); err != nil {
			return err
		}
		next[got.Queue.QueueId]++
	}
	return nil
}

func suspendResume(t *trial) error {
	topic, err := t.topic("", 1)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	box, receiver, err := t.consume(t.group(), topic, byTag("*"))
	if err != nil {
		return err
	}
	if _, err := send(sender, message(topic, "before")); err != nil {
		return err
	}
	if err := box.awaitBody("before"); err != nil {
		return err
	}
	receiver.Suspend()
	sent, err := sendNumbered(sender, topic, "meanwhile ", 10)
	if err != nil {
		return err
	}
	receiver.Resume()
	return box.exactly(append(sent, "before"))
}

func namespace(t *trial) error {
	topic := t.own("topic")
	if _, err := (&trial{place: t.place, name: "space%" + t.name}).topic("topic", 1); err != nil {
		return err
	}
	sender, err := t.producer(producer.WithNamespace("space"))
	if err != nil {
		return err
	}
	sent, err := sendNumbered(sender, topic, "m", 3)
	if err != nil {
		return err
	}
	box, _, err := t.consume(t.group(), topic, byTag("*"), consumer.WithNamespace("space"))
	if err != nil {
		return err
	}
	return box.exactly(sent)
}

// Where nothing has left the broker's memory yet, a new group begins with the first message whatever it says.
func consumeFrom(where consumer.ConsumeFromWhere) feature {
	return func(t *trial) error {
		topic, err := t.topic("", 1)
		if err != nil {
			return err
		}
		sender, err := t.producer()
		if err != nil {
			return err
		}
		sent, err := sendNumbered(sender, topic, "m", 10)
		if err != nil {
			return err
		}
		box, _, err := t.consume(t.group(), topic, byTag("*"), consumer.WithConsumeFromWhere(where))
		if err != nil {
			return err
		}
		return box.exactly(sent)
	}
}

func afterConsumerRestart(t *trial) error {
	topic, err := t.topic("", 4)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	var sent, got []string
	for life := 0; life < 3; life++ {
		bodies, err := sendNumbered(sender, topic, fmt.Sprintf("life %d ", life), 20)
		if err != nil {
			return err
		}
		sent = append(sent, bodies...)
		receiver, err := t.consumer(t.group())
		if err != nil {
			return err
		}
		box := newInbox()
		if err := receiver.Subscribe(topic, byTag("*"), box.receive); err != nil {
			return err
		}
		if err := receiver.Start(); err != nil {
			return err
		}
		if _, err := box.await(20); err != nil {
			return err
		}
		// What it has taken counts as consumed once the difference to the broker is nought.
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
		got = append(got, box.bodies()...)
	}
	return sameElements("messages of all lives", sent, got)
}
