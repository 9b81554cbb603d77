package windrow.flink;

import com.amazonaws.services.kinesisanalytics.runtime.KinesisAnalyticsRuntime;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Properties;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.TableResult;

/**
 * The application: runs aggregates.sql.
 *
 * <p>The property group {@code windrow} fills in the SQL, {@code windrow.settings} is set before it. The service has
 * them; elsewhere a file has them, in the service's form, and is the one argument. Then the application waits for the
 * end of its source.
 */
public final class Application {
    private static final String SQL = "/aggregates.sql";
    private static final String GROUP = "windrow";
    private static final String SETTINGS = "windrow.settings";

    private Application() {}

    /** Starts the job. */
    public static void main(String[] arguments) throws Exception {
        boolean isElsewhere = arguments.length > 0;
        Map<String, Properties> groups = isElsewhere
                ? KinesisAnalyticsRuntime.getApplicationProperties(arguments[0])
                : KinesisAnalyticsRuntime.getApplicationProperties();
        Properties properties = groups.get(GROUP);
        if (properties == null) {
            throw new IllegalStateException("the application has no property group " + GROUP);
        }
        TableEnvironment tables = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
        groups.getOrDefault(SETTINGS, new Properties())
                .forEach((name, value) -> tables.getConfig().set((String) name, (String) value));
        TableResult last = null;
        for (Script.Statement statement : Script.of(sql(), properties)) {
            if (statement.isSetting()) {
                tables.getConfig().set(statement.key(), statement.value());
            } else {
                last = tables.executeSql(statement.text());
            }
        }
        if (isElsewhere && last != null) {
            last.await();
        }
    }

    private static String sql() throws IOException {
        try (InputStream resource = Application.class.getResourceAsStream(SQL)) {
            return new String(resource.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
