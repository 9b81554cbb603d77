package windrow.flink;

import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A file of SQL: statements, each with its semicolon at the end of a line, and ${...} for properties. */
final class Script {
    private static final Pattern COMMENT = Pattern.compile("(?m)^\\s*--.*$");
    private static final Pattern END = Pattern.compile(";\\s*(\\n|$)");
    private static final Pattern PROPERTY = Pattern.compile("\\$\\{(\\w+)\\}");
    private static final Pattern SETTING = Pattern.compile("SET\\s+'([^']+)'\\s*=\\s*'([^']*)'");

    private Script() {}

    /** Returns the statements, with properties filled in; a property that is missing stops it. */
    static List<Statement> of(String text, Properties properties) {
        List<Statement> statements = new ArrayList<>();
        for (String one : END.split(COMMENT.matcher(text).replaceAll(""))) {
            if (!one.isBlank()) {
                statements.add(statement(filled(one.strip(), properties)));
            }
        }
        return statements;
    }

    private static Statement statement(String text) {
        Matcher setting = SETTING.matcher(text);
        return setting.matches()
                ? new Statement(text, setting.group(1), setting.group(2))
                : new Statement(text, null, null);
    }

    private static String filled(String text, Properties properties) {
        return PROPERTY.matcher(text).replaceAll(found -> {
            String value = properties.getProperty(found.group(1));
            if (value == null) {
                throw new IllegalStateException("the property " + found.group(1) + " is missing");
            }
            return Matcher.quoteReplacement(value);
        });
    }

    /** One statement; a setting of the tables has a key and a value. */
    record Statement(String text, String key, String value) {
        boolean isSetting() {
            return key != null;
        }
    }
}
