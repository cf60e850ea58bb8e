import java.util.Map;

/** All that the Java client of 5.x proves: see Features. */
public final class Features5 {
    public static void main(String[] args) throws Exception {
        Map<String, Features.Feature> features = Features.common();
        Timers.list(features);
        Priorities.list(features);
        Administration.list(features);
        Features.serve(args, features);
    }
}
