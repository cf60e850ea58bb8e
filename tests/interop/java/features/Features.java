import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;

/**
 * The features that the Java client proves, 4.x and 5.x from the same source; those of 5.x alone are in Features5.
 *
 * Features NAME-SERVERS BROKER CLUSTER BROKER-NAME
 *
 * Told on stdin which trials to run, it answers on stdout: harness/trials.py has the words of both.
 */
public class Features {
    private static final Map<String, CountDownLatch> PAUSED = new ConcurrentHashMap<>();

    interface Feature {
        void prove(Trial trial) throws Exception;
    }

    public static void main(String[] args) throws Exception {
        serve(args, common());
    }

    static Map<String, Feature> common() {
        Map<String, Feature> features = new TreeMap<>();
        Sending.list(features);
        Batches.list(features);
        Pulling.list(features);
        LitePulling.list(features);
        Filtering.list(features);
        Groups.list(features);
        Rebalances.list(features);
        Offsets.list(features);
        Retries.list(features);
        Levels.list(features);
        Transactions.list(features);
        Queries.list(features);
        Requests.list(features);
        Tracing.list(features);
        Restarts.list(features);
        return features;
    }

    static void serve(String[] args, Map<String, Feature> features) throws Exception {
        Trial.Place place = new Trial.Place(args[0], args[1], args[2], args[3]);
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.split("\t");
            if (words[0].equals("resume")) {
                PAUSED.remove(words[1]).countDown();
            } else {
                Feature feature = features.get(words[1]);
                new Thread(() -> run(new Trial(place, words[2], () -> pause(words[2])), feature), words[2]).start();
            }
        }
        Runtime.getRuntime().halt(0);
    }

    private static void run(Trial trial, Feature feature) {
        String answer;
        try {
            if (feature == null) {
                throw new IllegalArgumentException("no such feature in this driver");
            }
            feature.prove(trial);
            answer = "ok " + trial.name + " " + trial.notes();
        } catch (Throwable problem) {
            problem.printStackTrace();
            answer = "failed " + trial.name + " " + problem;
        }
        say(answer);
        trial.close();
    }

    /** Waits until the harness has restarted the broker. */
    private static void pause(String name) {
        CountDownLatch resumed = new CountDownLatch(1);
        PAUSED.put(name, resumed);
        say("pause " + name);
        try {
            resumed.await();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private static synchronized void say(String words) {
        System.out.println("\n@ " + words.replaceAll("\\s+", " "));
    }
}
