import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Messages for a point in time, and their recall. The profile's timers go by 100 ms. */
final class Timers {
    private static final int MESSAGE_ILLEGAL = 13;
    private static final int NO_PERMISSION = 16;
    private static final int ILLEGAL_OPERATION = 604;
    /** A timer is due at a multiple of 100 ms; Apache's may come one multiple early. */
    private static final int EARLY_MS = 200;
    private static final long FORTY_DAYS_MS = 40L * 86_400_000;

    static void list(Map<String, Features.Feature> features) {
        features.put("timer-deliver-at", trial -> one(trial, 3_000, (message, wait) -> message.setDeliverTimeMs(System.currentTimeMillis() + wait)));
        features.put("timer-delay-ms", trial -> one(trial, 2_500, (message, wait) -> message.setDelayTimeMs(wait)));
        features.put("timer-delay-sec", trial -> one(trial, 2_000, (message, wait) -> message.setDelayTimeSec(wait / 1_000)));
        features.put("timer-in-the-past", trial -> one(trial, 0, (message, wait) -> message.setDeliverTimeMs(System.currentTimeMillis() - 5_000)));
        features.put("timer-too-far", Timers::tooFar);
        features.put("timer-not-a-number", Timers::notANumber);
        features.put("timer-in-order-of-time", Timers::inOrderOfTime);
        features.put("timer-many", Timers::many);
        features.put("timer-and-level", Timers::andLevel);
        features.put("timer-recall", Timers::recall);
        features.put("timer-recall-refused", Timers::recallRefused);
        features.put("timer-recall-bad-handle", Timers::recallBadHandle);
        Restarts.both(features, "timers", Timers::aroundRestart);
        Restarts.both(features, "timer-forty-days", Timers::fortyDays);
    }

    private interface Setting {
        void apply(Message message, long waitMs);
    }

    private static void one(Trial trial, long waitMs, Setting setting) throws Exception {
        String topic = trial.topic(2);
        Inbox inbox = trial.consume(trial.group(), topic, "tag");
        DefaultMQProducer producer = trial.producer();
        Message message = new Message(topic, "tag", "key", Trial.bytes("timed"));
        message.putUserProperty("a", "b");
        setting.apply(message, waitMs);
        long sent = System.currentTimeMillis();
        SendResult result = Trial.accepted(producer.send(message, trial.queue(topic, 1)));
        MessageExt got = inbox.await(1).get(0);
        long waited = got.getStoreTimestamp() - sent;
        Check.that("it waited for " + waitMs + " ms, not " + waited, waited >= waitMs - EARLY_MS);
        Check.equal("body, key, tag, property", "timed key tag b",
            Inbox.text(got) + " " + got.getKeys() + " " + got.getTags() + " " + got.getUserProperty("a"));
        Check.equal("queue", 1, got.getQueueId());
        Check.equal("unique key", result.getMsgId(), got.getProperty("UNIQ_KEY"));
        trial.awaitAllConsumed(trial.group(), topic);
        Check.equal("deliveries", 1, inbox.size());
        trial.note("properties " + new java.util.TreeMap<>(got.getProperties()).keySet());
    }

    private static void tooFar(Trial trial) throws Exception {
        String topic = trial.topic(1);
        Message message = new Message(topic, Trial.bytes("in four days"));
        message.setDelayTimeSec(4 * 86_400);
        DefaultMQProducer producer = trial.producer();
        Check.refused("four days, where three are allowed", MESSAGE_ILLEGAL, () -> producer.send(message));
    }

    private static void notANumber(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        for (String property : List.of("TIMER_DELIVER_MS", "TIMER_DELAY_MS", "TIMER_DELAY_SEC")) {
            Message message = new Message(topic, Trial.bytes(property));
            message.getProperties().put(property, "soon");
            Check.refused(property, MESSAGE_ILLEGAL, () -> producer.send(message));
        }
        Check.equal("messages", 0L, trial.admin().maxOffset(trial.queue(topic, 0)));
    }

    private static void inOrderOfTime(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        List<Integer> numbers = new ArrayList<>(IntStream.range(0, 12).boxed().toList());
        Collections.shuffle(numbers, new Random(3));
        long start = System.currentTimeMillis() + 4_000;
        for (int number : numbers) {
            Message message = new Message(topic, Trial.bytes("m" + number));
            message.setDeliverTimeMs(start + number * 400);
            Trial.send(producer, message);
        }
        Inbox inbox = trial.consume(trial.group(), topic, "*");
        inbox.await(12);
        trial.awaitAllConsumed(trial.group(), topic);
        List<String> inQueue = inbox.all().stream().sorted(java.util.Comparator.comparingLong(MessageExt::getQueueOffset)).map(Inbox::text).toList();
        Check.equal("order in the queue", IntStream.range(0, 12).mapToObj(number -> "m" + number).toList(), inQueue);
    }

    private static void many(Trial trial) throws Exception {
        String topic = trial.topic(4);
        DefaultMQProducer producer = trial.producer();
        Random random = new Random(5);
        List<String> sent = new ArrayList<>();
        for (int number = 0; number < 500; number++) {
            long deliver = System.currentTimeMillis() + 1_000 + random.nextInt(5_000);
            Message message = new Message(topic, Trial.bytes(number + " " + deliver));
            message.setDeliverTimeMs(deliver);
            Trial.send(producer, message);
            sent.add(number + " " + deliver);
        }
        for (MessageExt message : Sending.exactly(trial, topic, sent)) {
            long early = Long.parseLong(Inbox.text(message).split(" ")[1]) - message.getStoreTimestamp();
            Check.that("not " + early + " ms early", early <= EARLY_MS);
        }
    }

    private static void andLevel(Trial trial) throws Exception {
        String topic = trial.topic(1);
        Message message = new Message(topic, Trial.bytes("by level"));
        message.setDelayTimeMs(3_600_000);
        message.setDelayTimeLevel(1);
        Trial.send(trial.producer(), message);
        MessageExt got = trial.consume(trial.group(), topic, "*").await(1).get(0);
        Check.equal("timer property", null, got.getProperty("TIMER_DELAY_MS"));
    }

    private static void recall(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        Inbox inbox = trial.consume(trial.group(), topic, "*");
        List<SendResult> results = new ArrayList<>();
        for (int number = 0; number < 4; number++) {
            Message message = new Message(topic, Trial.bytes("m" + number));
            message.setDelayTimeMs(6_000 + number * 500);
            results.add(Trial.send(producer, message));
        }
        for (int number : List.of(1, 2)) {
            Check.that("there is a handle", !results.get(number).getRecallHandle().isEmpty());
            Check.equal("id of the recalled", results.get(number).getMsgId(), producer.recallMessage(topic, results.get(number).getRecallHandle()));
        }
        inbox.await("m3");
        trial.awaitAllConsumed(trial.group(), topic);
        Check.equal("what was not recalled", List.of("m0", "m3"), inbox.bodies());
    }

    private static void recallRefused(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        Message message = new Message(topic, Trial.bytes("m"));
        message.setDelayTimeMs(3_000);
        SendResult result = Trial.send(producer, message);
        Check.refused("without recallMessageEnable", NO_PERMISSION, () -> producer.recallMessage(topic, result.getRecallHandle()));
        trial.consume(trial.group(), topic, "*").await("m");
    }

    private static void recallBadHandle(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        Message message = new Message(topic, Trial.bytes("m"));
        message.setDelayTimeMs(1_000);
        SendResult result = Trial.send(producer, message);
        trial.consume(trial.group(), topic, "*").await("m");
        Check.refused("delivered before", ILLEGAL_OPERATION, () -> producer.recallMessage(topic, result.getRecallHandle()));
        Message later = new Message(topic, Trial.bytes("later"));
        later.setDelayTimeMs(5_000);
        String handle = Trial.send(producer, later).getRecallHandle();
        String other = trial.topic("other", 1, 6);
        Check.refused("of another topic", ILLEGAL_OPERATION, () -> producer.recallMessage(other, handle));
    }

    private static void aroundRestart(Trial trial) throws Exception {
        String topic = trial.topic(2);
        DefaultMQProducer producer = trial.producer();
        List<String> sent = new ArrayList<>();
        long start = System.currentTimeMillis();
        for (int number = 0; number < 60; number++) {
            Message message = new Message(topic, Trial.bytes("m" + number));
            message.setDeliverTimeMs(start + 1_000 + number * 500);
            Trial.send(producer, message);
            sent.add("m" + number);
        }
        trial.restartBroker();
        Inbox inbox = trial.consume(trial.group(), topic, "*");
        inbox.await("all", all -> new HashSet<>(all.stream().map(Inbox::text).toList()).size() >= 60);
        trial.awaitAllConsumed(trial.group(), topic);
        Restarts.checkConsumed(trial, sent, inbox);
    }

    private static void fortyDays(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        Message tooFar = new Message(topic, Trial.bytes("too far"));
        tooFar.setDelayTimeMs(FORTY_DAYS_MS + 60_000);
        Check.refused("a minute more than forty days", MESSAGE_ILLEGAL, () -> producer.send(tooFar));
        List<SendResult> results = new ArrayList<>();
        for (int number = 0; number < 2; number++) {
            Message message = new Message(topic, "tag", trial.own("key-" + number), Trial.bytes("m" + number));
            message.setDelayTimeMs(FORTY_DAYS_MS);
            results.add(Trial.send(producer, message));
        }
        trial.restartBroker();
        for (int number = 0; number < 2; number++) {
            String key = trial.own("key-" + number);
            Check.eventually("it waits in the broker's own topic", () -> trial.admin().queryMessage("rmq_sys_wheel_timer", key, 32, 0, Long.MAX_VALUE)
                .getMessageList().stream().anyMatch(message -> topic.equals(message.getProperty("REAL_TOPIC"))));
        }
        String id = results.get(0).getMsgId();
        Check.eventually("one is recalled", () -> id.equals(producer.recallMessage(topic, results.get(0).getRecallHandle())));
        Restarts.sendPatiently(producer, new Message(topic, Trial.bytes("now")));
        Sending.exactly(trial, topic, List.of("now"));
    }

    private Timers() { }
}
