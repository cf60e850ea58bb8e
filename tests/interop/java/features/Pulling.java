import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** The pull consumer, which names queue and offset of each pull. */
final class Pulling {
    private static final int SYSTEM_ERROR = 1;
    private static final int NO_PERMISSION = 16;
    private static final int TOPIC_NOT_EXIST = 17;
    private static final int INVALID_PARAMETER = 29;

    static void list(Map<String, Features.Feature> features) {
        features.put("pull-queue", Pulling::queue);
        features.put("pull-at-most", Pulling::atMost);
        features.put("pull-large-messages", Pulling::largeMessages);
        features.put("pull-offset-out-of-range", Pulling::outOfRange);
        features.put("pull-waits-for-arrival", Pulling::waitsForArrival);
        features.put("pull-by-tag", Pulling::byTag);
        features.put("pull-refused", Pulling::refused);
        features.put("pull-sql-refused", Pulling::sqlRefused);
        features.put("topic-read-forbidden", Pulling::readForbidden);
        features.put("queue-offsets", Pulling::queueOffsets);
        features.put("offset-by-time", Pulling::offsetByTime);
        features.put("offset-commit-and-fetch", Pulling::commitAndFetch);
    }

    private static void queue(Trial trial) throws Exception {
        MessageQueue queue = trial.queue(trial.topic(2), 1);
        List<String> sent = Trial.sendNumbered(trial.producer(), queue, "message ", 5);
        trial.awaitStored(queue, 5);
        DefaultMQPullConsumer puller = trial.puller(trial.group());
        PullResult result = puller.pull(queue, "*", 0, 32);
        Check.equal("status", PullStatus.FOUND, result.getPullStatus());
        Check.equal("bodies in order", sent, result.getMsgFoundList().stream().map(Inbox::text).toList());
        Check.equal("offsets", List.of(0L, 1L, 2L, 3L, 4L), result.getMsgFoundList().stream().map(MessageExt::getQueueOffset).toList());
        Check.equal("next, min, max", "5 0 5", offsets(result));
        result = puller.pull(queue, "*", 3, 1);
        Check.equal("one", List.of("message 3"), result.getMsgFoundList().stream().map(Inbox::text).toList());
        Check.equal("next, min, max", "4 0 5", offsets(result));
        result = puller.pull(queue, "*", 5, 32);
        Check.equal("status at the end", PullStatus.NO_NEW_MSG, result.getPullStatus());
        Check.equal("next, min, max", "5 0 5", offsets(result));
        result = puller.pull(trial.queue(queue.getTopic(), 0), "*", 0, 32);
        Check.equal("status of an empty queue", PullStatus.NO_NEW_MSG, result.getPullStatus());
        Check.equal("next, min, max of an empty queue", "0 0 0", offsets(result));
    }

    private static String offsets(PullResult result) {
        return result.getNextBeginOffset() + " " + result.getMinOffset() + " " + result.getMaxOffset();
    }

    private static void atMost(Trial trial) throws Exception {
        MessageQueue queue = trial.queue(trial.topic(1), 0);
        List<String> sent = Trial.sendNumbered(trial.producer(), queue, "m", 100);
        trial.awaitStored(queue, 100);
        DefaultMQPullConsumer puller = trial.puller(trial.group());
        Check.equal("ten", sent.subList(20, 30),
            puller.pull(queue, "*", 20, 10).getMsgFoundList().stream().map(Inbox::text).toList());
        PullResult all = puller.pull(queue, "*", 0, 100);
        Check.equal("next follows the last", (long) all.getMsgFoundList().size(), all.getNextBeginOffset());
        Check.equal("no more than 32 in a reply", 32, all.getMsgFoundList().size());
    }

    /** Replies are limited in bytes, but each makes progress. */
    private static void largeMessages(Trial trial) throws Exception {
        MessageQueue queue = trial.queue(trial.topic(1), 0);
        DefaultMQProducer producer = trial.producer();
        for (int number = 0; number < 6; number++) {
            Trial.accepted(producer.send(new Message(queue.getTopic(), Sending.noise(200_000)), queue));
        }
        trial.awaitStored(queue, 6);
        DefaultMQPullConsumer puller = trial.puller(trial.group());
        long offset = 0;
        int replies = 0;
        for (; offset < 6; replies++) {
            PullResult result = puller.pull(queue, "*", offset, 32);
            Check.equal("status", PullStatus.FOUND, result.getPullStatus());
            Check.equal("next", offset + result.getMsgFoundList().size(), result.getNextBeginOffset());
            offset = result.getNextBeginOffset();
        }
        Check.equal("replies of at most 256 KiB", 6, replies);
    }

    private static void outOfRange(Trial trial) throws Exception {
        MessageQueue queue = trial.queue(trial.topic(1), 0);
        Trial.sendNumbered(trial.producer(), queue, "m", 3);
        trial.awaitStored(queue, 3);
        DefaultMQPullConsumer puller = trial.puller(trial.group());
        PullResult result = puller.pull(queue, "*", 1_000, 32);
        Check.equal("status past the end", PullStatus.OFFSET_ILLEGAL, result.getPullStatus());
        Check.equal("next, min, max", "3 0 3", offsets(result));
        result = puller.pull(queue, "*", 4, 32);
        Check.equal("status one past the end", PullStatus.OFFSET_ILLEGAL, result.getPullStatus());
        Check.equal("next, min, max", "3 0 3", offsets(result));
    }

    private static void waitsForArrival(Trial trial) throws Exception {
        MessageQueue queue = trial.queue(trial.topic(1), 0);
        DefaultMQProducer producer = trial.producer();
        DefaultMQPullConsumer puller = trial.puller(trial.group());
        CompletableFuture<PullResult> pulled = CompletableFuture.supplyAsync(() -> {
            try {
                return puller.pullBlockIfNotFound(queue, null, 0, 32);
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
        Check.eventually("the pull is held", () -> trial.admin().examineTopicStats(queue.getTopic()) != null);
        Check.that("nothing is answered before", !pulled.isDone());
        Trial.sendNumbered(producer, queue, "late ", 1);
        PullResult result = pulled.get(Check.PATIENCE_MS, TimeUnit.MILLISECONDS);
        Check.equal("status", PullStatus.FOUND, result.getPullStatus());
        Check.equal("body", "late 0", Inbox.text(result.getMsgFoundList().get(0)));
    }

    private static void byTag(Trial trial) throws Exception {
        MessageQueue queue = trial.queue(trial.topic(1), 0);
        DefaultMQProducer producer = trial.producer();
        for (int number = 0; number < 12; number++) {
            Trial.accepted(producer.send(new Message(queue.getTopic(), "t" + number % 3, Trial.bytes("m" + number)), queue));
        }
        trial.awaitStored(queue, 12);
        DefaultMQPullConsumer puller = trial.puller(trial.group());
        PullResult result = puller.pull(queue, "t1", 0, 32);
        Check.equal("bodies", List.of("m1", "m4", "m7", "m10"), result.getMsgFoundList().stream().map(Inbox::text).toList());
        Check.equal("next, min, max", "12 0 12", offsets(result));
        result = puller.pull(queue, "t0 || t2", 6, 2);
        Check.equal("bodies", List.of("m6", "m8"), result.getMsgFoundList().stream().map(Inbox::text).toList());
        Check.equal("next, min, max", "9 0 12", offsets(result));
        result = puller.pull(queue, "nobody", 0, 32);
        Check.equal("status", PullStatus.NO_MATCHED_MSG, result.getPullStatus());
        Check.equal("next, min, max", "12 0 12", offsets(result));
    }

    private static void refused(Trial trial) throws Exception {
        String topic = trial.topic(2);
        DefaultMQPullConsumer puller = trial.puller(trial.group());
        Check.refused("queue 2 of 2", INVALID_PARAMETER, () -> puller.pull(trial.queue(topic, 2), "*", 0, 32));
        Check.refused("no topic", TOPIC_NOT_EXIST, () -> puller.pull(trial.queue(trial.own("none"), 0), "*", 0, 32));
    }

    private static void sqlRefused(Trial trial) throws Exception {
        String topic = trial.topic(1);
        var consumer = trial.consumer(trial.own("push-group"));
        consumer.subscribe(topic, MessageSelector.bySql("a > 1"));
        consumer.registerMessageListener(Trial.into(new Inbox()));
        Check.refused("start of a consumer", SYSTEM_ERROR, () -> trial.start(consumer));
    }

    private static void readForbidden(Trial trial) throws Exception {
        String topic = trial.topic("", 1, 2);
        DefaultMQProducer producer = trial.producer();
        Trial.sendNumbered(producer, topic, "m", 3);
        trial.awaitStored(trial.queue(topic, 0), 3);
        DefaultMQPullConsumer puller = trial.puller(trial.group());
        Check.refused("a pull", NO_PERMISSION, () -> puller.pull(trial.queue(topic, 0), "*", 0, 32));
        trial.topic("", 1, 6);
        Check.equal("afterwards", 3, puller.pull(trial.queue(topic, 0), "*", 0, 32).getMsgFoundList().size());
    }

    private static void queueOffsets(Trial trial) throws Exception {
        String topic = trial.topic(2);
        MessageQueue queue = trial.queue(topic, 0);
        DefaultMQPullConsumer puller = trial.puller(trial.group());
        Check.equal("queues", 2, puller.fetchSubscribeMessageQueues(topic).size());
        Check.equal("max of an empty queue", 0L, puller.maxOffset(queue));
        trial.note("min of an empty queue " + puller.minOffset(queue));
        trial.note("earliest of an empty queue " + puller.earliestMsgStoreTime(queue));
        Trial.sendNumbered(trial.producer(), queue, "m", 7);
        trial.awaitStored(queue, 7);
        Check.equal("max", 7L, puller.maxOffset(queue));
        Check.equal("min", 0L, puller.minOffset(queue));
        MessageExt first = puller.pull(queue, "*", 0, 1).getMsgFoundList().get(0);
        Check.equal("earliest", first.getStoreTimestamp(), puller.earliestMsgStoreTime(queue));
    }

    private static void offsetByTime(Trial trial) throws Exception {
        MessageQueue queue = trial.queue(trial.topic(1), 0);
        DefaultMQProducer producer = trial.producer();
        for (int number = 0; number < 20; number++) {
            Trial.sendNumbered(producer, queue, "m", 1);
            Thread.sleep(5);
        }
        trial.awaitStored(queue, 20);
        DefaultMQPullConsumer puller = trial.puller(trial.group());
        List<Long> times = puller.pull(queue, "*", 0, 32).getMsgFoundList().stream().map(MessageExt::getStoreTimestamp).toList();
        Check.equal("messages", 20, times.size());
        for (int number = 0; number < 20; number++) {
            Check.equal("the first at " + times, (long) times.indexOf(times.get(number)), puller.searchOffset(queue, times.get(number)));
        }
        Check.equal("before all", 0L, puller.searchOffset(queue, times.get(0) - 10_000));
        trial.note("time before the future: " + puller.searchOffset(queue, times.get(19) + 1));
        Check.equal("after all", 20L, puller.searchOffset(queue, System.currentTimeMillis() + 100_000));
    }

    private static void commitAndFetch(Trial trial) throws Exception {
        MessageQueue queue = trial.queue(trial.topic(1), 0);
        Trial.sendNumbered(trial.producer(), queue, "m", 10);
        DefaultMQPullConsumer first = trial.puller(trial.group());
        first.pull(queue, "*", 0, 6);
        first.updateConsumeOffset(queue, 6);
        first.getDefaultMQPullConsumerImpl().getOffsetStore().persistAll(java.util.Set.of(queue));
        DefaultMQPullConsumer second = trial.puller(trial.group());
        Check.eventually("another of the group reads the offset", () -> second.fetchConsumeOffset(queue, true) == 6);
        DefaultMQPullConsumer other = trial.puller(trial.own("other"));
        trial.note("offset of a group that never committed: " + other.fetchConsumeOffset(queue, true));
    }

    private Pulling() { }
}
