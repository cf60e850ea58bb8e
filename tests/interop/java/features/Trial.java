import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.MQVersion;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** One feature being tried: its own topics and groups, and the clients that it has started. */
final class Trial {
    /** Messages with one of these are stored elsewhere first. */
    private static final List<String> DELAYS = List.of("DELAY", "TIMER_DELAY_SEC", "TIMER_DELAY_MS", "TIMER_DELIVER_MS");
    /** Where each queue ends at least: a broker may say so a moment after it has acknowledged a message. */
    private static final Map<MessageQueue, Long> STORED = new ConcurrentHashMap<>();

    /** Where the servers are. */
    record Place(String nameServers, String broker, String cluster, String brokerName) {
        /** Where leaders are killed, requests go through a door, and each node of the group may stand behind it. */
        private static final List<String> NODES = List.of(System.getenv().getOrDefault("TRIAL_NODES", "").split(";"));

        /** The address that a server has given, or that of the door to it. */
        String behindDoor(String address) {
            return NODES.contains(address) ? broker : address;
        }
    }

    /** Wide, because the machine that all trials share may be busy. Clients give up after 3 s as they come. */
    private static final int SEND_TIMEOUT_MS = 10_000;
    private static final int ROUTE_POLL_MS = 1_000;
    private static final int HEARTBEAT_MS = 1_000;
    private static final int COMMIT_MS = 500;
    private static final AtomicInteger INSTANCES = new AtomicInteger();
    private static DefaultMQAdminExt admin;

    final Place place;
    final String name;
    private final Runnable pause;
    private final ConcurrentLinkedDeque<Check.Action> closers = new ConcurrentLinkedDeque<>();
    private final ConcurrentLinkedDeque<DefaultMQPushConsumer> consumers = new ConcurrentLinkedDeque<>();
    private final List<String> notes = new ArrayList<>();

    Trial(Place place, String name, Runnable pause) {
        this.place = place;
        this.name = name;
        this.pause = pause;
    }

    /** A name that no other trial and no other client has. */
    String own(String suffix) {
        String version = MQVersion.getVersionDesc(MQVersion.CURRENT_VERSION).split("_")[0];
        return name + "-" + version + (suffix.isEmpty() ? "" : "-" + suffix);
    }

    String group() {
        return own("group");
    }

    /** The trial's topic, made with this many queues. */
    String topic(int queues) throws Exception {
        return topic("", queues, 6);
    }

    String topic(String suffix, int queues, int permissions) throws Exception {
        TopicConfig config = new TopicConfig(own(suffix), queues, queues, permissions);
        admin().createAndUpdateTopicConfig(place.broker, config);
        awaitRoute(config.getTopicName());
        return config.getTopicName();
    }

    void awaitRoute(String topic) throws Exception {
        Check.eventually("there is a route to " + topic, () -> !admin().examineTopicRouteInfo(topic).getQueueDatas().isEmpty());
    }

    DefaultMQAdminExt admin() throws Exception {
        synchronized (Trial.class) {
            if (admin == null) {
                DefaultMQAdminExt fresh = new DefaultMQAdminExt(SEND_TIMEOUT_MS);
                configure(fresh);
                fresh.start();
                admin = fresh;
            }
            return admin;
        }
    }

    DefaultMQProducer producer() throws Exception {
        return start(new DefaultMQProducer(own("producer")));
    }

    <P extends DefaultMQProducer> P start(P producer) throws Exception {
        configure(producer);
        producer.setSendMsgTimeout(SEND_TIMEOUT_MS);
        producer.start();
        closers.push(producer::shutdown);
        return producer;
    }

    /** Not started yet. It begins with the first message. */
    DefaultMQPushConsumer consumer(String group) {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        configure(consumer);
        consumer.setPersistConsumerOffsetInterval(COMMIT_MS);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        return consumer;
    }

    DefaultMQPushConsumer start(DefaultMQPushConsumer consumer) throws Exception {
        consumer.start();
        closers.push(consumer::shutdown);
        consumers.push(consumer);
        return consumer;
    }

    /** Everything that a consumer is given goes to the inbox. */
    static MessageListenerConcurrently into(Inbox inbox) {
        return (messages, context) -> {
            inbox.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        };
    }

    static MessageListenerOrderly orderlyInto(Inbox inbox) {
        return (messages, context) -> {
            inbox.addAll(messages);
            return ConsumeOrderlyStatus.SUCCESS;
        };
    }

    /** A started consumer's inbox. */
    Inbox consume(String group, String topic, String expression) throws Exception {
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(group);
        consumer.subscribe(topic, expression);
        consumer.registerMessageListener(into(inbox));
        start(consumer);
        return inbox;
    }

    DefaultMQPullConsumer puller(String group) throws Exception {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(group);
        configure(consumer);
        consumer.start();
        closers.push(consumer::shutdown);
        return consumer;
    }

    DefaultLitePullConsumer lite(String group) {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(group);
        configure(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        return consumer;
    }

    DefaultLitePullConsumer start(DefaultLitePullConsumer consumer) throws Exception {
        consumer.start();
        closers.push(consumer::shutdown);
        return consumer;
    }

    void configure(ClientConfig config) {
        config.setNamesrvAddr(place.nameServers);
        config.setClientIP("127.0.0.1");
        config.setInstanceName(own("") + "-" + INSTANCES.incrementAndGet());
        config.setPollNameServerInterval(ROUTE_POLL_MS);
        config.setHeartbeatBrokerInterval(HEARTBEAT_MS);
        config.setVipChannelEnabled(false);
    }

    void onClose(Check.Action action) {
        closers.push(action);
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static SendResult send(DefaultMQProducer producer, Message message) throws Exception {
        SendResult result = accepted(producer.send(message));
        boolean waits = DELAYS.stream().anyMatch(name -> message.getProperty(name) != null);
        return waits ? result : stored(result);
    }

    static SendResult accepted(SendResult result) {
        Check.equal("status of " + result, SendStatus.SEND_OK, result.getSendStatus());
        return result;
    }

    /** The answer to a message that is in its own queue now. */
    static SendResult stored(SendResult result) {
        STORED.merge(result.getMessageQueue(), result.getQueueOffset() + 1, Math::max);
        return accepted(result);
    }

    /** Sends a message for each number, and returns the bodies. */
    static List<String> sendNumbered(DefaultMQProducer producer, String topic, String prefix, int count) throws Exception {
        List<String> bodies = IntStream.range(0, count).mapToObj(number -> prefix + number).toList();
        for (String body : bodies) {
            send(producer, new Message(topic, bytes(body)));
        }
        return bodies;
    }

    /** The same, one after the other into one queue. */
    static List<String> sendNumbered(DefaultMQProducer producer, MessageQueue queue, String prefix, int count) throws Exception {
        List<String> bodies = IntStream.range(0, count).mapToObj(number -> prefix + number).toList();
        for (String body : bodies) {
            stored(producer.send(new Message(queue.getTopic(), bytes(body)), queue));
        }
        return bodies;
    }

    /** Messages may be pulled a moment after they were acknowledged: returns once there are this many. */
    void awaitStored(MessageQueue queue, long count) throws Exception {
        Check.eventually(count + " messages in " + queue, () -> admin().maxOffset(queue) == count);
    }

    MessageQueue queue(String topic, int id) {
        return new MessageQueue(topic, place.brokerName, id);
    }

    /** Returns once the group has consumed all that is in the topic, and has told the broker so. Clients first do so after 10 s. */
    void awaitAllConsumed(String group, String topic) throws Exception {
        Check.eventually(group + " has consumed all of " + topic, () -> {
            consumers.forEach(consumer -> consumer.getDefaultMQPushConsumerImpl().persistConsumerOffset());
            var offsets = admin().examineConsumeStats(group, topic).getOffsetTable();
            return !offsets.isEmpty() && offsets.entrySet().stream().filter(entry -> entry.getKey().getTopic().equals(topic))
                .allMatch(entry -> entry.getValue().getConsumerOffset() == entry.getValue().getBrokerOffset()
                    && entry.getValue().getBrokerOffset() >= STORED.getOrDefault(entry.getKey(), 0L));
        });
    }

    /** The broker is stopped and started again, as the profile says. */
    void restartBroker() {
        pause.run();
    }

    void note(String words) {
        notes.add(words);
    }

    String notes() {
        return String.join(", ", notes.stream().filter(note -> !note.isEmpty()).toList());
    }

    void close() {
        for (Check.Action closer : closers) {
            try {
                closer.run();
            } catch (Exception e) {
                e.printStackTrace();
            }
        }
    }
}
