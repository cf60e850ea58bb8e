import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Sending single messages. */
final class Sending {
    private static final int MESSAGE_ILLEGAL = 13;
    private static final int NO_PERMISSION = 16;
    private static final int INVALID_PARAMETER = 29;
    private static final int NO_ROUTE_IN_CLIENT = 10005;
    private static final int BODY_BYTES_MAX = 4 << 20;

    static void list(Map<String, Features.Feature> features) {
        features.put("send-sync", Sending::sync);
        features.put("send-reply-fields", Sending::replyFields);
        features.put("send-async", Sending::async);
        features.put("send-oneway", Sending::oneway);
        features.put("send-properties", Sending::properties);
        features.put("send-properties-over-limit", Sending::propertiesOverLimit);
        features.put("send-compressed", Sending::compressed);
        features.put("send-at-limit", Sending::atLimit);
        features.put("send-over-limit", Sending::overLimit);
        features.put("send-over-configured-limit", Sending::overConfiguredLimit);
        features.put("send-chosen-queue", Sending::chosenQueue);
        features.put("send-no-such-queue", Sending::noSuchQueue);
        features.put("send-vip-channel", Sending::vipChannel);
        features.put("send-same-group", Sending::sameGroup);
        features.put("topic-auto-created", Sending::autoCreated);
        features.put("topic-auto-create-refused", Sending::autoCreateRefused);
        features.put("topic-write-forbidden", Sending::writeForbidden);
    }

    private static void sync(Trial trial) throws Exception {
        String topic = trial.topic(4);
        DefaultMQProducer producer = trial.producer();
        Map<String, String> places = new TreeMap<>();
        for (int number = 0; number < 200; number++) {
            SendResult result = Trial.send(producer, new Message(topic, "tag-" + number % 3, "key-" + number, body(number)));
            places.put(new String(body(number)), result.getMessageQueue().getQueueId() + "@" + result.getQueueOffset());
        }
        Inbox inbox = trial.consume(trial.group(), topic, "*");
        for (MessageExt message : inbox.await(200)) {
            String text = Inbox.text(message);
            Check.equal("place of " + text, places.remove(text), message.getQueueId() + "@" + message.getQueueOffset());
            Check.equal("key", "key-" + text.split(" ")[1], message.getKeys());
            Check.equal("tag", "tag-" + Integer.parseInt(text.split(" ")[1]) % 3, message.getTags());
            Check.equal("topic", topic, message.getTopic());
            Check.equal("store host", trial.place.broker(), trial.place.behindDoor(hostOf(message.getStoreHost())));
            Check.that("born before stored", message.getBornTimestamp() > 0 && message.getStoreTimestamp() > 0);
        }
        trial.awaitAllConsumed(trial.group(), topic);
        Check.equal("messages", 200, inbox.size());
    }

    static String hostOf(java.net.SocketAddress address) {
        return address.toString().replaceFirst("^.*/", "");
    }

    private static byte[] body(int number) {
        return Trial.bytes("message " + number + " žluťoučký kůň 消息");
    }

    private static void replyFields(Trial trial) throws Exception {
        String topic = trial.topic(2);
        DefaultMQProducer producer = trial.producer();
        Set<String> ids = new HashSet<>();
        for (int number = 0; number < 20; number++) {
            Message message = new Message(topic, body(number));
            SendResult result = Trial.accepted(producer.send(message, trial.queue(topic, number % 2)));
            Check.equal("queue", trial.queue(topic, number % 2), result.getMessageQueue());
            Check.equal("queue offset", (long) number / 2, result.getQueueOffset());
            Check.equal("unique key", message.getProperty("UNIQ_KEY"), result.getMsgId());
            Check.equal("region", "DefaultRegion", result.getRegionId());
            Check.that("trace is on", result.isTraceOn());
            Check.equal("store host in the id", trial.place.broker(),
                trial.place.behindDoor(hostOf(MessageDecoder.decodeMessageId(result.getOffsetMsgId()).getAddress())));
            Check.that("ids differ", ids.add(result.getMsgId()) && ids.add(result.getOffsetMsgId()));
            trial.note(number == 0 ? "transaction id " + result.getTransactionId() : "");
            Check.equal("the message by its id", "message " + number, Inbox.text(
                trial.admin().viewMessage(topic, result.getOffsetMsgId())).substring(0, ("message " + number).length()));
        }
    }

    private static void async(Trial trial) throws Exception {
        String topic = trial.topic(4);
        DefaultMQProducer producer = trial.producer();
        CountDownLatch answered = new CountDownLatch(300);
        AtomicReference<Throwable> problem = new AtomicReference<>();
        List<String> sent = new ArrayList<>();
        for (int number = 0; number < 300; number++) {
            sent.add("async " + number);
            producer.send(new Message(topic, Trial.bytes("async " + number)), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    Trial.accepted(result);
                    answered.countDown();
                }

                @Override
                public void onException(Throwable e) {
                    problem.set(e);
                    answered.countDown();
                }
            });
        }
        Check.that("all are answered", answered.await(Check.PATIENCE_MS, TimeUnit.MILLISECONDS));
        Check.equal("problem", null, problem.get());
        exactly(trial, topic, sent);
    }

    private static void oneway(Trial trial) throws Exception {
        String topic = trial.topic(4);
        DefaultMQProducer producer = trial.producer();
        List<String> sent = new ArrayList<>();
        for (int number = 0; number < 100; number++) {
            sent.add("oneway " + number);
            producer.sendOneway(new Message(topic, Trial.bytes("oneway " + number)));
        }
        exactly(trial, topic, sent);
    }

    /** A new group is given just these. */
    static List<MessageExt> exactly(Trial trial, String topic, List<String> bodies) throws Exception {
        Inbox inbox = trial.consume(trial.group(), topic, "*");
        inbox.await(bodies.size());
        trial.awaitAllConsumed(trial.group(), topic);
        Check.sameElements("what is consumed", bodies, inbox.bodies());
        return inbox.all();
    }

    private static void properties(Trial trial) throws Exception {
        String topic = trial.topic(1);
        Message message = new Message(topic, "tag", "k1 k2", 0x1234, Trial.bytes("with properties"), true);
        message.setKeys(Arrays.asList("k1", "k2", "klíč"));
        message.putUserProperty("a", "1");
        message.putUserProperty("žluť", "消息 with = : ; and spaces");
        message.putUserProperty("long", "x".repeat(1000));
        message.setBuyerId("buyer");
        SendResult result = Trial.send(trial.producer(), message);
        MessageExt got = exactly(trial, topic, List.of("with properties")).get(0);
        Check.equal("flag", 0x1234, got.getFlag());
        Check.equal("keys", "k1 k2 klíč", got.getKeys());
        Check.equal("tags", "tag", got.getTags());
        Check.equal("a", "1", got.getUserProperty("a"));
        Check.equal("žluť", "消息 with = : ; and spaces", got.getUserProperty("žluť"));
        Check.equal("long", "x".repeat(1000), got.getUserProperty("long"));
        Check.equal("buyer", "buyer", got.getBuyerId());
        Check.equal("unique key", result.getMsgId(), got.getProperty("UNIQ_KEY"));
        Check.equal("cluster", trial.place.cluster(), got.getProperty("CLUSTER"));
        Check.equal("region", "DefaultRegion", got.getProperty("MSG_REGION"));
        Check.equal("trace", "true", got.getProperty("TRACE_ON"));
        Check.equal("wait", "true", got.getProperty("WAIT"));
        Check.equal("all names", new HashSet<>(List.of("KEYS", "TAGS", "a", "žluť", "long", "BUYER_ID", "UNIQ_KEY", "CLUSTER",
            "MSG_REGION", "TRACE_ON", "WAIT", "MIN_OFFSET", "MAX_OFFSET", "CONSUME_START_TIME")), got.getProperties().keySet());
    }

    private static void propertiesOverLimit(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        Message fitting = new Message(topic, Trial.bytes("fits"));
        fitting.putUserProperty("long", "x".repeat(32_000));
        Trial.send(producer, fitting);
        Message tooLong = new Message(topic, Trial.bytes("does not fit"));
        tooLong.putUserProperty("long", "x".repeat(33_000));
        Check.refused("33,000 bytes of properties", MESSAGE_ILLEGAL, () -> producer.send(tooLong));
        exactly(trial, topic, List.of("fits"));
    }

    private static void compressed(Trial trial) throws Exception {
        String topic = trial.topic(1);
        String body = "compress me well ".repeat(6_000);
        Trial.send(trial.producer(), new Message(topic, Trial.bytes(body)));
        MessageExt got = exactly(trial, topic, List.of(body)).get(0);
        Check.that("stored in less than a tenth, in " + got.getStoreSize(), got.getStoreSize() < body.length() / 10);
    }

    private static void atLimit(Trial trial) throws Exception {
        String topic = trial.topic(1);
        byte[] body = noise(BODY_BYTES_MAX);
        DefaultMQProducer producer = trial.producer();
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        Trial.send(producer, new Message(topic, body));
        Inbox inbox = trial.consume(trial.group(), topic, "*");
        Check.that("the body comes back", Arrays.equals(body, inbox.await(1).get(0).getBody()));
    }

    static byte[] noise(int bytes) {
        byte[] body = new byte[bytes];
        new Random(7).nextBytes(body);
        return body;
    }

    private static void overLimit(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        Check.refused("by the client", MESSAGE_ILLEGAL, () -> producer.send(new Message(topic, new byte[BODY_BYTES_MAX + 1])));
        producer.setMaxMessageSize(2 * BODY_BYTES_MAX);
        Check.refused("by the broker", MESSAGE_ILLEGAL, () -> producer.send(new Message(topic, noise(BODY_BYTES_MAX + 65_000))));
        Trial.send(producer, new Message(topic, Trial.bytes("after")));
        exactly(trial, topic, List.of("after"));
    }

    private static void overConfiguredLimit(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        Trial.send(producer, new Message(topic, noise(64 << 10)));
        Check.refused("the body is over 64 KiB", MESSAGE_ILLEGAL, () -> producer.send(new Message(topic, noise((64 << 10) + 1))));
        trial.awaitStored(trial.queue(topic, 0), 1);
    }

    private static void chosenQueue(Trial trial) throws Exception {
        String topic = trial.topic(4);
        DefaultMQProducer producer = trial.producer();
        for (int number = 0; number < 100; number++) {
            int order = number % 10;
            SendResult result = Trial.accepted(producer.send(new Message(topic, Trial.bytes(order + ":" + number)),
                (queues, message, argument) -> queues.get((Integer) argument % queues.size()), order));
            Check.equal("queue", order % 4, result.getMessageQueue().getQueueId());
        }
        Inbox inbox = new Inbox();
        var consumer = trial.consumer(trial.group());
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(Trial.orderlyInto(inbox));
        trial.start(consumer);
        Map<String, Integer> newest = new TreeMap<>();
        for (MessageExt message : inbox.await(100)) {
            String[] parts = Inbox.text(message).split(":");
            Check.equal("queue of order " + parts[0], Integer.parseInt(parts[0]) % 4, message.getQueueId());
            Integer before = newest.put(parts[0], Integer.parseInt(parts[1]));
            Check.that(parts[1] + " comes after " + before, before == null || before < Integer.parseInt(parts[1]));
        }
        Check.equal("orders", 10, newest.size());
    }

    private static void noSuchQueue(Trial trial) throws Exception {
        String topic = trial.topic(2);
        DefaultMQProducer producer = trial.producer();
        Check.refused("queue 2 of 2", INVALID_PARAMETER,
            () -> producer.send(new Message(topic, Trial.bytes("nowhere")), trial.queue(topic, 2)));
        Check.equal("messages", 0L, trial.admin().maxOffset(trial.queue(topic, 0)) + trial.admin().maxOffset(trial.queue(topic, 1)));
    }

    private static void vipChannel(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = new DefaultMQProducer(trial.own("producer"));
        trial.configure(producer);
        producer.setVipChannelEnabled(true);
        producer.start();
        trial.onClose(producer::shutdown);
        SendResult result = Trial.send(producer, new Message(topic, Trial.bytes("by port - 2")));
        Check.equal("store host is the main port", trial.place.broker(),
            trial.place.behindDoor(hostOf(MessageDecoder.decodeMessageId(result.getOffsetMsgId()).getAddress())));
        exactly(trial, topic, List.of("by port - 2"));
    }

    private static void sameGroup(Trial trial) throws Exception {
        String topic = trial.topic(2);
        DefaultMQProducer first = trial.producer();
        DefaultMQProducer second = trial.producer();
        List<String> sent = new ArrayList<>(Trial.sendNumbered(first, topic, "first ", 10));
        sent.addAll(Trial.sendNumbered(second, topic, "second ", 10));
        Check.eventually("both are known", () ->
            trial.admin().examineProducerConnectionInfo(trial.own("producer"), topic).getConnectionSet().size() == 2);
        first.shutdown();
        Check.eventually("one is known", () ->
            trial.admin().examineProducerConnectionInfo(trial.own("producer"), topic).getConnectionSet().size() == 1);
        sent.addAll(Trial.sendNumbered(second, topic, "alone ", 10));
        exactly(trial, topic, sent);
    }

    private static void autoCreated(Trial trial) throws Exception {
        DefaultMQProducer producer = trial.producer();
        String topic = trial.own("fresh");
        Trial.send(producer, new Message(topic, Trial.bytes("first")));
        trial.awaitRoute(topic);
        var queues = trial.admin().examineTopicRouteInfo(topic).getQueueDatas().get(0);
        Check.equal("queues and permissions", "4 4 6", queues.getReadQueueNums() + " " + queues.getWriteQueueNums() + " " + queues.getPerm());
        DefaultMQProducer greedy = new DefaultMQProducer(trial.own("greedy"));
        greedy.setDefaultTopicQueueNums(20);
        trial.start(greedy);
        String wide = trial.own("wide");
        Trial.send(greedy, new Message(wide, Trial.bytes("first")));
        trial.awaitRoute(wide);
        Check.equal("no more than the template has", 8, trial.admin().examineTopicRouteInfo(wide).getQueueDatas().get(0).getWriteQueueNums());
        exactly(trial, topic, List.of("first"));
    }

    private static void autoCreateRefused(Trial trial) throws Exception {
        String topic = trial.own("fresh");
        DefaultMQProducer producer = trial.producer();
        Check.refused("no route", NO_ROUTE_IN_CLIENT, () -> producer.send(new Message(topic, Trial.bytes("nothing"))));
    }

    /** The broker takes what is sent to it; it is the route that keeps producers away. */
    private static void writeForbidden(Trial trial) throws Exception {
        String topic = trial.topic("", 2, 4);
        DefaultMQProducer producer = trial.producer();
        Check.refused("no route to write", NO_ROUTE_IN_CLIENT, () -> producer.send(new Message(topic, Trial.bytes("nothing"))));
        trial.topic("", 2, 6);
        Check.eventually("writable now", () -> producer.fetchPublishMessageQueues(topic).size() == 2);
        Check.eventually("sent", () -> producer.send(new Message(topic, Trial.bytes("something"))) != null);
        exactly(trial, topic, List.of("something"));
    }

    private Sending() { }
}
