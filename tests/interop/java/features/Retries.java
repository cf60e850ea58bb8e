import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Consumers that fail. */
final class Retries {
    static void list(Map<String, Features.Feature> features) {
        features.put("retry-until-success", trial -> untilSuccess(trial, false));
        features.put("retry-after-exception", trial -> untilSuccess(trial, true));
        features.put("retry-chosen-level", Retries::chosenLevel);
        features.put("retry-rest-of-batch", Retries::restOfBatch);
        features.put("retry-to-dead-letter", Retries::toDeadLetter);
        features.put("retry-dead-letter-at-once", Retries::deadLetterAtOnce);
        features.put("retry-dead-letter-consumed", Retries::deadLetterConsumed);
        features.put("retry-sent-back-by-hand", Retries::sentBackByHand);
        features.put("retry-orderly", Retries::orderly);
        features.put("retry-orderly-to-dead-letter", Retries::orderlyToDeadLetter);
    }

    private interface Judge {
        /** Whether this delivery succeeds. */
        boolean accepts(MessageExt message);
    }

    private static DefaultMQPushConsumer failing(Trial trial, String topic, Inbox inbox, Judge judge) throws Exception {
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            inbox.addAll(messages);
            return judge.accepts(messages.get(0)) ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS : ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        return consumer;
    }

    private static Message rich(String topic, int number) {
        Message message = new Message(topic, "tag", "key-" + number, Trial.bytes("m" + number));
        message.putUserProperty("number", "" + number);
        message.setFlag(number);
        return message;
    }

    /** Message n fails n times. */
    private static void untilSuccess(Trial trial, boolean byException) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        List<SendResult> sent = new ArrayList<>();
        for (int number = 0; number < 4; number++) {
            sent.add(Trial.send(producer, rich(topic, number)));
        }
        Inbox inbox = new Inbox();
        trial.start(failing(trial, topic, inbox, message -> {
            boolean succeeds = message.getReconsumeTimes() >= Integer.parseInt(message.getUserProperty("number"));
            if (!succeeds && byException) {
                throw new IllegalStateException("a consumer that throws");
            }
            return succeeds;
        }));
        inbox.await(1 + 2 + 3 + 4);
        trial.awaitAllConsumed(trial.group(), topic);
        trial.awaitAllConsumed(trial.group(), "%RETRY%" + trial.group());
        Check.equal("deliveries", 10, inbox.size());
        Map<Integer, Integer> deliveries = new HashMap<>();
        for (MessageExt message : inbox.all()) {
            int number = Integer.parseInt(message.getUserProperty("number"));
            int times = deliveries.merge(number, 1, Integer::sum) - 1;
            Check.equal("times consumed before", times, message.getReconsumeTimes());
            Check.equal("body, keys, tags, flag, topic", "m" + number + " key-" + number + " tag " + number + " " + topic,
                Inbox.text(message) + " " + message.getKeys() + " " + message.getTags() + " " + message.getFlag() + " " + message.getTopic());
            Check.equal("unique key", sent.get(number).getMsgId(), message.getProperty("UNIQ_KEY"));
            if (times > 0) {
                Check.equal("id of the first", sent.get(number).getOffsetMsgId(), message.getProperty("ORIGIN_MESSAGE_ID"));
                Check.equal("topic of the first", topic, message.getProperty("RETRY_TOPIC"));
                Check.equal("where it was put for its time", "%RETRY%" + trial.group(), message.getProperty("REAL_TOPIC"));
            }
        }
        Check.equal("deliveries of each", Map.of(0, 1, 1, 2, 2, 3, 3, 4), deliveries);
    }

    private static void chosenLevel(Trial trial) throws Exception {
        String topic = trial.topic(1);
        Trial.send(trial.producer(), rich(topic, 1));
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            inbox.addAll(messages);
            context.setDelayLevelWhenNextConsume(2);
            return messages.get(0).getReconsumeTimes() == 0 ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        trial.start(consumer);
        List<MessageExt> got = inbox.await(2);
        long waited = got.get(1).getStoreTimestamp() - got.get(0).getStoreTimestamp();
        Check.that("it waited for the level's 2 s, not " + waited, waited >= 2_000);
        Check.equal("times", 1, got.get(1).getReconsumeTimes());
    }

    private static void restOfBatch(Trial trial) throws Exception {
        String topic = trial.topic(1);
        List<String> sent = Trial.sendNumbered(trial.producer(), topic, "m", 8);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumer.setConsumeMessageBatchMaxSize(8);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            inbox.addAll(messages);
            if (messages.get(0).getReconsumeTimes() == 0 && messages.size() == 8) {
                context.setAckIndex(4);
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        trial.start(consumer);
        inbox.await(11);
        trial.awaitAllConsumed(trial.group(), topic);
        trial.awaitAllConsumed(trial.group(), "%RETRY%" + trial.group());
        List<String> expected = new ArrayList<>(sent);
        expected.addAll(List.of("m5", "m6", "m7"));
        Check.sameElements("deliveries", expected, inbox.bodies());
    }

    /** What is in the dead-letter queue, once there is that much. */
    private static List<MessageExt> deadLetters(Trial trial, int count) throws Exception {
        String dead = "%DLQ%" + trial.group();
        trial.awaitRoute(dead);
        DefaultMQPullConsumer puller = trial.puller(trial.own("undertaker"));
        Check.eventually(count + " dead letters", () -> trial.admin().maxOffset(trial.queue(dead, 0)) >= count);
        trial.note("permissions " + trial.admin().examineTopicRouteInfo(dead).getQueueDatas().get(0).getPerm());
        return puller.pull(trial.queue(dead, 0), "*", 0, 32).getMsgFoundList();
    }

    private static void toDeadLetter(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        List<SendResult> sent = new ArrayList<>();
        for (int number = 0; number < 3; number++) {
            sent.add(Trial.send(producer, rich(topic, number)));
        }
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = failing(trial, topic, inbox, message -> message.getUserProperty("number").equals("1"));
        consumer.setMaxReconsumeTimes(2);
        trial.start(consumer);
        List<MessageExt> dead = deadLetters(trial, 2);
        Check.equal("deliveries of the two that fail and the one that does not", 7, inbox.size());
        Check.sameElements("dead letters", List.of("m0", "m2"), dead.stream().map(Inbox::text).toList());
        for (MessageExt letter : dead) {
            int number = Integer.parseInt(letter.getUserProperty("number"));
            Check.equal("keys, tags, flag", "key-" + number + " tag " + number, letter.getKeys() + " " + letter.getTags() + " " + letter.getFlag());
            Check.equal("topic of the first", topic, letter.getProperty("RETRY_TOPIC"));
            Check.equal("id of the first", sent.get(number).getOffsetMsgId(), letter.getProperty("ORIGIN_MESSAGE_ID"));
            Check.equal("unique key", sent.get(number).getMsgId(), letter.getProperty("UNIQ_KEY"));
            Check.equal("times", 3, letter.getReconsumeTimes());
        }
        Check.equal("dead letters in all", 2L, trial.admin().maxOffset(trial.queue("%DLQ%" + trial.group(), 0)));
    }

    private static void deadLetterAtOnce(Trial trial) throws Exception {
        String topic = trial.topic(1);
        Trial.send(trial.producer(), rich(topic, 1));
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            inbox.addAll(messages);
            context.setDelayLevelWhenNextConsume(-1);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        trial.start(consumer);
        Check.equal("dead letter", "m1", Inbox.text(deadLetters(trial, 1).get(0)));
        Check.equal("deliveries", 1, inbox.size());
    }

    private static void deadLetterConsumed(Trial trial) throws Exception {
        String topic = trial.topic(1);
        Trial.send(trial.producer(), rich(topic, 1));
        DefaultMQPushConsumer consumer = failing(trial, topic, new Inbox(), message -> false);
        consumer.setMaxReconsumeTimes(0);
        trial.start(consumer);
        deadLetters(trial, 1);
        Inbox inbox = trial.consume(trial.own("healer"), "%DLQ%" + trial.group(), "*");
        MessageExt healed = inbox.await(1).get(0);
        Check.equal("body", "m1", Inbox.text(healed));
        Check.equal("topic as this consumer sees it", "%DLQ%" + trial.group(), healed.getTopic());
    }

    private static void sentBackByHand(Trial trial) throws Exception {
        String topic = trial.topic(1);
        Trial.send(trial.producer(), rich(topic, 3));
        trial.awaitStored(trial.queue(topic, 0), 1);
        DefaultMQPullConsumer puller = trial.puller(trial.own("other"));
        MessageExt message = puller.pull(trial.queue(topic, 0), "*", 0, 1).getMsgFoundList().get(0);
        puller.sendMessageBack(message, 1, trial.place.brokerName(), trial.group());
        Inbox inbox = trial.consume(trial.group(), trial.topic("idle", 1, 6), "*");
        MessageExt back = inbox.await(1).get(0);
        Check.equal("body, keys, flag", "m3 key-3 3", Inbox.text(back) + " " + back.getKeys() + " " + back.getFlag());
        Check.equal("times", 1, back.getReconsumeTimes());
        Check.equal("topic as its consumer sees it", topic, back.getTopic());
        long waited = back.getStoreTimestamp() - message.getStoreTimestamp();
        Check.that("it waited for the level's 1 s, not " + waited, waited >= 1_000);
    }

    private static void orderly(Trial trial) throws Exception {
        var queue = trial.queue(trial.topic(1), 0);
        Trial.sendNumbered(trial.producer(), queue, "m", 5);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumer.setSuspendCurrentQueueTimeMillis(100);
        consumer.subscribe(queue.getTopic(), "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            inbox.addAll(messages);
            boolean fails = Inbox.text(messages.get(0)).equals("m2") && messages.get(0).getReconsumeTimes() < 3;
            return fails ? ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT : ConsumeOrderlyStatus.SUCCESS;
        });
        trial.start(consumer);
        inbox.await("m4");
        trial.awaitAllConsumed(trial.group(), queue.getTopic());
        Check.equal("deliveries, in order", List.of("m0", "m1", "m2", "m2", "m2", "m2", "m3", "m4"), inbox.bodies());
    }

    private static void orderlyToDeadLetter(Trial trial) throws Exception {
        var queue = trial.queue(trial.topic(1), 0);
        DefaultMQProducer producer = trial.producer();
        for (int number = 0; number < 4; number++) {
            Trial.accepted(producer.send(rich(queue.getTopic(), number), queue));
        }
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumer.setSuspendCurrentQueueTimeMillis(50);
        consumer.setMaxReconsumeTimes(2);
        consumer.subscribe(queue.getTopic(), "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            inbox.addAll(messages);
            return Inbox.text(messages.get(0)).equals("m1") ? ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT : ConsumeOrderlyStatus.SUCCESS;
        });
        trial.start(consumer);
        inbox.await("m3");
        MessageExt letter = deadLetters(trial, 1).get(0);
        Check.equal("dead letter", "m1 key-1 1", Inbox.text(letter) + " " + letter.getKeys() + " " + letter.getFlag());
        Check.equal("topic of the first", queue.getTopic(), letter.getProperty("RETRY_TOPIC"));
        trial.awaitAllConsumed(trial.group(), queue.getTopic());
        List<String> others = inbox.bodies().stream().filter(body -> !body.equals("m1")).toList();
        Check.equal("the others, in order", IntStream.of(0, 2, 3).mapToObj(number -> "m" + number).toList(), others);
        Check.equal("deliveries of the dead one", 3L, inbox.bodies().stream().filter("m1"::equals).count());
    }

    private Retries() { }
}
