import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

/** Subscriptions by tag and by SQL92. Every property is missing in some messages, so that each expression meets NULL. */
final class Filtering {
    private static final int SUBSCRIPTION_PARSE_FAILED = 23;
    private static final int COUNT = 60;
    private static final List<String> TAGS = List.of("red", "green", "blue", "Aa", "BB");

    /** Message `number`: a property is null where it is not set. */
    private record Sample(int number) {
        String tag() {
            return number % 6 == 5 ? null : TAGS.get(number % 6);
        }

        Integer n() {
            return number % 4 == 3 ? null : number;
        }

        String city() {
            return switch (number % 5) {
                case 0 -> "Praha";
                case 1 -> "Brno";
                case 2 -> "Hradec Králové";
                case 3 -> "O'Hara";
                default -> null;
            };
        }

        Double weight() {
            return number % 3 == 2 ? null : number / 4.0;
        }

        String flag() {
            return number % 7 == 6 ? null : number % 2 == 0 ? "true" : "false";
        }

        Message message(String topic) {
            Message message = new Message(topic, tag(), Trial.bytes("m" + number));
            put(message, "n", n());
            put(message, "city", city());
            put(message, "weight", weight());
            put(message, "flag", flag());
            return message;
        }

        private static void put(Message message, String name, Object value) {
            if (value != null) {
                message.putUserProperty(name, value.toString());
            }
        }
    }

    static void list(Map<String, Features.Feature> features) {
        tag(features, "filter-tag-one", "green", sample -> "green".equals(sample.tag()));
        tag(features, "filter-tag-several", "red || blue", sample -> "red".equals(sample.tag()) || "blue".equals(sample.tag()));
        tag(features, "filter-tag-all", "*", sample -> true);
        tag(features, "filter-tag-same-hash", "Aa", sample -> "Aa".equals(sample.tag()));
        sql(features, "filter-sql-greater", "n > 30", sample -> sample.n() != null && sample.n() > 30);
        sql(features, "filter-sql-at-most", "n <= 30", sample -> sample.n() != null && sample.n() <= 30);
        sql(features, "filter-sql-equal", "city = 'Praha'", sample -> "Praha".equals(sample.city()));
        sql(features, "filter-sql-not-equal", "city <> 'Praha'", sample -> sample.city() != null && !"Praha".equals(sample.city()));
        sql(features, "filter-sql-between", "n between 10 and 20", sample -> sample.n() != null && sample.n() >= 10 && sample.n() <= 20);
        sql(features, "filter-sql-not-between", "n not between 10 and 50",
            sample -> sample.n() != null && (sample.n() < 10 || sample.n() > 50));
        sql(features, "filter-sql-in", "city in ('Brno', 'Hradec Králové')",
            sample -> sample.city() != null && List.of("Brno", "Hradec Králové").contains(sample.city()));
        sql(features, "filter-sql-not-in", "city not in ('Brno', 'Praha')",
            sample -> sample.city() != null && !List.of("Brno", "Praha").contains(sample.city()));
        sql(features, "filter-sql-is-null", "n is null", sample -> sample.n() == null);
        sql(features, "filter-sql-is-not-null", "n is not null and city is not null", sample -> sample.n() != null && sample.city() != null);
        sql(features, "filter-sql-or-with-null", "n > 40 or city = 'Brno'",
            sample -> sample.n() != null && sample.n() > 40 || "Brno".equals(sample.city()));
        sql(features, "filter-sql-not-with-null", "not (n > 40)", sample -> sample.n() != null && sample.n() <= 40);
        sql(features, "filter-sql-decimal", "weight >= 2.5 and weight < 7.25",
            sample -> sample.weight() != null && sample.weight() >= 2.5 && sample.weight() < 7.25);
        sql(features, "filter-sql-boolean", "flag = TRUE", sample -> "true".equals(sample.flag()));
        sql(features, "filter-sql-tags", "TAGS in ('red', 'Aa') and n < 30",
            sample -> sample.tag() != null && List.of("red", "Aa").contains(sample.tag()) && sample.n() != null && sample.n() < 30);
        sql(features, "filter-sql-precedence", "n < 10 or n > 50 and city = 'Praha'",
            sample -> sample.n() != null && (sample.n() < 10 || sample.n() > 50 && "Praha".equals(sample.city())));
        sql(features, "filter-sql-parentheses", "(n < 10 or n > 50) and city = 'Praha'",
            sample -> sample.n() != null && (sample.n() < 10 || sample.n() > 50) && "Praha".equals(sample.city()));
        sql(features, "filter-sql-contains", "city contains 'radec'", sample -> sample.city() != null && sample.city().contains("radec"));
        sql(features, "filter-sql-not-contains", "city not contains 'B'", sample -> sample.city() != null && !sample.city().contains("B"));
        sql(features, "filter-sql-starts-ends", "city startswith 'B' or city endswith 'ha'",
            sample -> sample.city() != null && (sample.city().startsWith("B") || sample.city().endsWith("ha")));
        sql(features, "filter-sql-quote", "city = 'O''Hara'", sample -> "O'Hara".equals(sample.city()));
        sql(features, "filter-sql-unknown-property", "nobody = 1 or n = 8", sample -> Objects.equals(sample.n(), 8));
        sql(features, "filter-sql-negative", "n > -1 and n < 5", sample -> sample.n() != null && sample.n() < 5);
        features.put("filter-sql-illegal", Filtering::illegal);
        features.put("filter-changed", Filtering::changed);
        features.put("filter-arrives-while-waiting", Filtering::arrivesWhileWaiting);
    }

    private static void tag(Map<String, Features.Feature> features, String name, String tags, Predicate<Sample> wanted) {
        features.put(name, trial -> prove(trial, MessageSelector.byTag(tags), wanted));
    }

    private static void sql(Map<String, Features.Feature> features, String name, String expression, Predicate<Sample> wanted) {
        features.put(name, trial -> prove(trial, MessageSelector.bySql(expression), wanted));
    }

    private static void prove(Trial trial, MessageSelector selector, Predicate<Sample> wanted) throws Exception {
        String topic = trial.topic(2);
        DefaultMQProducer producer = trial.producer();
        List<Sample> samples = IntStream.range(0, COUNT).mapToObj(Sample::new).toList();
        for (Sample sample : samples) {
            Trial.accepted(producer.send(sample.message(topic), trial.queue(topic, sample.number() % 2)));
        }
        List<Sample> chosen = samples.stream().filter(wanted).toList();
        Check.that("the expression chooses", !chosen.isEmpty());
        List<String> expected = new ArrayList<>(chosen.stream().map(sample -> "m" + sample.number()).toList());
        // At the end of each queue, so that all before it is passed over at once.
        for (int queue = 0; queue < 2; queue++) {
            Message last = chosen.get(0).message(topic);
            last.setBody(Trial.bytes("last"));
            Trial.accepted(producer.send(last, trial.queue(topic, queue)));
            expected.add("last");
        }
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumer.subscribe(topic, selector);
        consumer.registerMessageListener(Trial.into(inbox));
        trial.start(consumer);
        inbox.await(expected.size());
        trial.awaitAllConsumed(trial.group(), topic);
        Check.sameElements("what " + selector.getExpression() + " chooses", expected, inbox.bodies());
        trial.note(chosen.size() + " of " + COUNT);
    }

    private static void illegal(Trial trial) throws Exception {
        String topic = trial.topic(1);
        for (String expression : List.of("n >", "n > > 1", "(n > 1", "n in (1", "n between 1", "n in ()", "= 1", "n > 'a", "and", "n > 1 and")) {
            DefaultMQPushConsumer consumer = trial.consumer(trial.own("group-" + Math.abs(expression.hashCode())));
            consumer.subscribe(topic, MessageSelector.bySql(expression));
            consumer.registerMessageListener(Trial.into(new Inbox()));
            Check.refused("start with " + expression, SUBSCRIPTION_PARSE_FAILED, () -> trial.start(consumer));
        }
    }

    /** A group comes back with another expression; what the old one passed over stays passed over. */
    private static void changed(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        sendTagged(producer, topic, "first", List.of("green", "blue", "red"));
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        Inbox before = new Inbox();
        consumer.subscribe(topic, "red");
        consumer.registerMessageListener(Trial.into(before));
        trial.start(consumer);
        before.await(1);
        trial.awaitAllConsumed(trial.group(), topic);
        consumer.shutdown();
        sendTagged(producer, topic, "second", List.of("red", "green", "blue"));
        Inbox after = trial.consume(trial.group(), topic, "blue");
        after.await(1);
        trial.awaitAllConsumed(trial.group(), topic);
        Check.equal("before", List.of("first red"), before.bodies());
        Check.equal("after", List.of("second blue"), after.bodies());
    }

    private static void sendTagged(DefaultMQProducer producer, String topic, String prefix, List<String> tags)
            throws Exception {
        for (String tag : tags) {
            Trial.send(producer, new Message(topic, tag, Trial.bytes(prefix + " " + tag)));
        }
    }

    /** The consumer's pull is held already when messages come, some of them for it. */
    private static void arrivesWhileWaiting(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumer.subscribe(topic, MessageSelector.bySql("n > 5"));
        consumer.registerMessageListener(Trial.into(inbox));
        trial.start(consumer);
        for (int number = 0; number < 12; number++) {
            Message message = new Message(topic, Trial.bytes("m" + number));
            message.putUserProperty("n", "" + number);
            Trial.send(producer, message);
            if (number > 5) {
                inbox.await("m" + number);
            }
        }
        trial.awaitAllConsumed(trial.group(), topic);
        Check.equal("messages", List.of("m6", "m7", "m8", "m9", "m10", "m11"), inbox.bodies());
    }

    private Filtering() { }
}
