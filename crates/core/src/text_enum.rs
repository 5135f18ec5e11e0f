//! Enums whose values have one text in the schema, on the wire and in the database.

#[macro_export]
macro_rules! text_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$value_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        #[derive(async_graphql::Enum, serde::Serialize, serde::Deserialize, Copy, Clone, Debug, Eq, PartialEq)]
        $(#[$meta])*
        pub enum $name {
            $($(#[$value_meta])* #[graphql(name = $text)] #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Parses the text of a value. None for an unknown text.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
