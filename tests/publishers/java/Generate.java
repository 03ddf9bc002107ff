import java.io.File;
import org.apache.avro.Schema;
import org.apache.avro.compiler.specific.SpecificCompiler;
import org.apache.avro.generic.GenericData.StringType;

/** Makes Java classes of a schema, as a publisher's build does: {@code Generate SCHEMA FOLDER}. */
public class Generate {
  public static void main(String[] arguments) throws Exception {
    Schema schema = new Schema.Parser().parse(new File(arguments[0]));
    SpecificCompiler compiler = new SpecificCompiler(schema);
    compiler.setStringType(StringType.String);
    compiler.compileToDestination(null, new File(arguments[1]));
  }
}
