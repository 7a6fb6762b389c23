//! How a program asks: the same request for a shell, Python and Node.

use maud::{Markup, html};

use super::parts::snippet;

/// For a shell.
#[must_use]
pub fn curl(home: &str, key: &str, model: &str) -> String {
    format!(
        "curl {home}/v1/chat/completions \\\n  -H \"Authorization: Bearer {key}\" \\\n  \
         -H \"Content-Type: application/json\" \\\n  \
         -d '{{\"model\": \"{model}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'"
    )
}

/// For OpenAI's SDK.
#[must_use]
pub fn python(home: &str, key: &str, model: &str) -> String {
    format!(
        "from openai import OpenAI\n\nclient = OpenAI(base_url=\"{home}/v1\", api_key=\"{key}\")\n\
         answer = client.chat.completions.create(\n    model=\"{model}\",\n    \
         messages=[{{\"role\": \"user\", \"content\": \"Hello\"}}],\n)\n\
         print(answer.choices[0].message.content)"
    )
}

/// For OpenAI's SDK.
#[must_use]
pub fn node(home: &str, key: &str, model: &str) -> String {
    format!(
        "import OpenAI from \"openai\";\n\nconst client = new OpenAI({{\n  baseURL: \"{home}/v1\",\n  \
         apiKey: \"{key}\",\n}});\nconst answer = await client.chat.completions.create({{\n  \
         model: \"{model}\",\n  messages: [{{ role: \"user\", content: \"Hello\" }}],\n}});\n\
         console.log(answer.choices[0].message.content);"
    )
}

/// The three beside each other, one shown at a time, without a script. A model's name is of the
/// catalogue, and a key is letters and digits: neither ends a text in any of the languages.
#[must_use]
pub fn tabs(id: &str, home: &str, key: &str, model: &str) -> Markup {
    let all = [
        ("curl", curl(home, key, model)),
        ("Python", python(home, key, model)),
        ("Node", node(home, key, model)),
    ];
    html! {
        div class="tabs" role="group" aria-label="The same in three languages" {
            @for (at, (name, _)) in all.iter().enumerate() {
                input type="radio" name=(id) id=(format!("{id}-{at}")) checked[at == 0];
                label for=(format!("{id}-{at}")) { (name) }
            }
            @for (at, (_, text)) in all.iter().enumerate() {
                div class="pane" { (snippet(&format!("{id}-text-{at}"), text)) }
            }
        }
    }
}
