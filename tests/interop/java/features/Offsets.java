import java.text.SimpleDateFormat;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/** Where a group begins, goes on and is sent back to. */
final class Offsets {
    private static final int APART_MS = 1_100;

    static void list(Map<String, Features.Feature> features) {
        features.put("consume-from-first", trial -> from(trial, ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET, true, true));
        features.put("consume-from-last", trial -> from(trial, ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET, false, false));
        features.put("consume-from-timestamp", trial -> from(trial, ConsumeFromWhere.CONSUME_FROM_TIMESTAMP, false, true));
        // Where nothing has left the broker's memory yet, a new group always begins with the first message.
        features.put("consume-from-last-young-topic", trial -> from(trial, ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET, true, true));
        features.put("expired-messages", Offsets::oldestExpired);
        features.put("pull-at-most-from-disk", Offsets::pullFromDisk);
        features.put("offset-after-consumer-restart", Offsets::afterConsumerRestart);
        features.put("offset-reset-online", Offsets::resetOnline);
        features.put("offset-reset-offline", Offsets::resetOffline);
        features.put("offset-skip-accumulated", Offsets::skipAccumulated);
        features.put("offset-clone", Offsets::cloneOffset);
    }

    /** Messages before and after a moment, then a new group, then more messages. */
    private static void from(Trial trial, ConsumeFromWhere where, boolean wantsEarly, boolean wantsMiddle) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        if (!wantsEarly) {
            loseOldest(trial, producer, topic);
        }
        List<String> early = Trial.sendNumbered(producer, topic, "early ", 5);
        Thread.sleep(APART_MS);
        String moment = new SimpleDateFormat("yyyyMMddHHmmss").format(new Date());
        Thread.sleep(APART_MS);
        List<String> middle = Trial.sendNumbered(producer, topic, "middle ", 5);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumer.setConsumeFromWhere(where);
        consumer.setConsumeTimestamp(moment);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(Trial.into(inbox));
        trial.start(consumer);
        Check.eventually("it knows where to begin", () -> Groups.queues(consumer, topic) == 1);
        List<String> late = Trial.sendNumbered(producer, topic, "late ", 5);
        inbox.await("late 4");
        trial.awaitAllConsumed(trial.group(), topic);
        List<String> expected = new ArrayList<>(wantsEarly ? early : List.of());
        expected.addAll(wantsMiddle ? middle : List.of());
        expected.addAll(late);
        Check.sameElements("messages", expected, inbox.bodies());
    }

    /** A group that is new to a queue that still has its very first message, in memory, begins there whatever it says. */
    private static void loseOldest(Trial trial, DefaultMQProducer producer, String topic) throws Exception {
        for (int number = 0; number < 20; number++) {
            Trial.send(producer, new Message(topic, Sending.noise(200_000)));
        }
        trial.admin().deleteExpiredCommitLogByAddr(trial.place.broker());
        Check.eventually("the oldest messages are gone", () -> trial.admin().minOffset(trial.queue(topic, 0)) > 0);
    }

    private static void oldestExpired(Trial trial) throws Exception {
        var queue = trial.queue(trial.topic(1), 0);
        DefaultMQProducer producer = trial.producer();
        loseOldest(trial, producer, queue.getTopic());
        var puller = trial.puller(trial.group());
        // More may expire between two questions: then both are asked again.
        Check.eventually("the oldest that is left is where the reply says", () -> {
            var result = puller.pull(queue, "*", 0, 32);
            Check.equal("status", PullStatus.OFFSET_ILLEGAL, result.getPullStatus());
            Check.equal("next and max", result.getMinOffset() + " 20", result.getNextBeginOffset() + " " + result.getMaxOffset());
            var first = puller.pull(queue, "*", result.getMinOffset(), 1);
            return trial.admin().minOffset(queue) == result.getMinOffset() && first.getPullStatus() == PullStatus.FOUND
                && first.getMsgFoundList().get(0).getQueueOffset() == result.getMinOffset();
        });
        long smallest = trial.admin().minOffset(queue);
        trial.note(smallest + " of 20 gone");
    }

    private static void pullFromDisk(Trial trial) throws Exception {
        var queue = trial.queue(trial.topic(1), 0);
        Trial.sendNumbered(trial.producer(), queue, "m", 40);
        trial.awaitStored(queue, 40);
        var result = trial.puller(trial.group()).pull(queue, "*", 0, 32);
        Check.equal("messages in a reply", 8, result.getMsgFoundList().size());
        Check.equal("next", 8L, result.getNextBeginOffset());
    }

    private static void afterConsumerRestart(Trial trial) throws Exception {
        String topic = trial.topic(4);
        DefaultMQProducer producer = trial.producer();
        List<String> sent = new ArrayList<>();
        List<String> got = new ArrayList<>();
        for (int life = 0; life < 3; life++) {
            sent.addAll(Trial.sendNumbered(producer, topic, "life " + life + " ", 20));
            Inbox inbox = new Inbox();
            DefaultMQPushConsumer consumer = trial.consumer(trial.group());
            consumer.subscribe(topic, "*");
            consumer.registerMessageListener(Trial.into(inbox));
            trial.start(consumer);
            inbox.await(20);
            trial.awaitAllConsumed(trial.group(), topic);
            consumer.shutdown();
            got.addAll(inbox.bodies());
        }
        Check.sameElements("messages of all lives", sent, got);
    }

    /** "old" messages, a moment, "new" messages; all consumed once by the consumer that is returned. */
    private static long consumeAround(Trial trial, String topic, DefaultMQPushConsumer consumer, Inbox inbox) throws Exception {
        DefaultMQProducer producer = trial.producer();
        Trial.sendNumbered(producer, topic, "old ", 10);
        Thread.sleep(APART_MS);
        long moment = System.currentTimeMillis();
        Thread.sleep(50);
        Trial.sendNumbered(producer, topic, "new ", 10);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(Trial.into(inbox));
        trial.start(consumer);
        inbox.await(20);
        trial.awaitAllConsumed(trial.group(), topic);
        return moment;
    }

    private static List<String> onlyNew() {
        return java.util.stream.IntStream.range(0, 10).mapToObj(number -> "new " + number).toList();
    }

    private static void resetOnline(Trial trial) throws Exception {
        String topic = trial.topic(2);
        Inbox inbox = new Inbox();
        long moment = consumeAround(trial, topic, trial.consumer(trial.group()), inbox);
        var reset = trial.admin().resetOffsetByTimestamp(topic, trial.group(), moment, true);
        Check.equal("queues reset", 2, reset.size());
        inbox.await(30);
        trial.awaitAllConsumed(trial.group(), topic);
        Check.sameElements("what is consumed again", onlyNew(), inbox.bodies().subList(20, inbox.size()));
    }

    private static void resetOffline(Trial trial) throws Exception {
        String topic = trial.topic(2);
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        long moment = consumeAround(trial, topic, consumer, new Inbox());
        consumer.shutdown();
        trial.admin().resetOffsetByTimestamp(topic, trial.group(), moment, true);
        Inbox again = trial.consume(trial.group(), topic, "*");
        again.await(10);
        trial.awaitAllConsumed(trial.group(), topic);
        Check.sameElements("what is consumed again", onlyNew(), again.bodies());
    }

    private static void skipAccumulated(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumeAround(trial, topic, consumer, new Inbox());
        consumer.shutdown();
        DefaultMQProducer producer = trial.producer();
        Trial.sendNumbered(producer, topic, "skipped ", 10);
        trial.awaitStored(trial.queue(topic, 0), 30);
        trial.admin().resetOffsetByTimestamp(topic, trial.group(), -1, true);
        List<String> later = Trial.sendNumbered(producer, topic, "later ", 3);
        Inbox inbox = trial.consume(trial.group(), topic, "*");
        inbox.await("later 2");
        trial.awaitAllConsumed(trial.group(), topic);
        Check.sameElements("messages", later, inbox.bodies());
    }

    private static void cloneOffset(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumeAround(trial, topic, consumer, new Inbox());
        consumer.shutdown();
        List<String> later = Trial.sendNumbered(trial.producer(), topic, "later ", 5);
        trial.admin().cloneGroupOffset(trial.group(), trial.own("clone"), topic, true);
        Inbox inbox = trial.consume(trial.own("clone"), topic, "*");
        inbox.await(5);
        trial.awaitAllConsumed(trial.own("clone"), topic);
        Check.sameElements("messages of the clone", later, inbox.bodies());
    }

    private Offsets() { }
}
