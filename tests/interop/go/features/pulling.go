package main

import (
	"context"
	"fmt"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// The pull consumer.
var pulling = map[string]feature{
	"pull-queue":               pullQueue,
	"pull-offset-out-of-range": pullOutOfRange,
}

func (t *trial) puller(topic string) (rocketmq.PullConsumer, error) {
	puller, err := rocketmq.NewPullConsumer(
		consumer.WithNameServer(t.servers()), consumer.WithGroupName(t.group()), consumer.WithInstance(t.instance()))
	if err != nil {
		return nil, err
	}
	if err := puller.Subscribe(topic, byTag("*")); err != nil {
		return nil, err
	}
	if err := puller.Start(); err != nil {
		return nil, err
	}
	t.onClose(func() { _ = puller.Shutdown() })
	return puller, nil
}

func describe(result *primitive.PullResult) string {
	bodies := ""
	for _, got := range result.GetMessageExts() {
		bodies += string(got.Body) + " "
	}
	return fmt.Sprintf("status %d next %d min %d max %d: %s", result.Status, result.NextBeginOffset, result.MinOffset, result.MaxOffset, bodies)
}

func pulls(t *trial, count int, wanted map[[2]int]string) error {
	topic, err := t.topic("", 1)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	if _, err := sendNumbered(sender, topic, "m", count); err != nil {
		return err
	}
	puller, err := t.puller(topic)
	if err != nil {
		return err
	}
	queue := &primitive.MessageQueue{Topic: topic, BrokerName: t.brokerName, QueueId: 0}
	// A message may be pulled a moment after it was acknowledged.
	err = eventually("all may be pulled", func() bool {
		result, err := puller.PullFrom(context.Background(), queue, 0, 1)
		return err == nil && result.MaxOffset == int64(count)
	})
	if err != nil {
		return err
	}
	for request, expected := range wanted {
		result, err := puller.PullFrom(context.Background(), queue, int64(request[0]), request[1])
		if err != nil {
			return err
		}
		if err := equal(fmt.Sprintf("%d from %d", request[1], request[0]), expected, describe(result)); err != nil {
			return err
		}
	}
	return nil
}

func pullQueue(t *trial) error {
	return pulls(t, 5, map[[2]int]string{
		{0, 32}: "status 0 next 5 min 0 max 5: m0 m1 m2 m3 m4 ",
		{3, 1}:  "status 0 next 4 min 0 max 5: m3 ",
		{5, 32}: "status 1 next 5 min 0 max 5: ",
	})
}

func pullOutOfRange(t *trial) error {
	return pulls(t, 3, map[[2]int]string{
		{1000, 32}: "status 3 next 3 min 0 max 3: ",
		{4, 32}:    "status 3 next 3 min 0 max 3: ",
	})
}
